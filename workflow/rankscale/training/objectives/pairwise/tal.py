"""Triplet alignment: a margin to a smooth maximum of the negatives, in both directions."""

import math
from dataclasses import dataclass

import torch

from rankscale.training.objectives.base import IMPOSSIBLE, Objective, Targets, positive_scores


@dataclass(frozen=True)
class TripletAlignment(Objective):
    """[margin - s+ + temperature log sum_j e^(s_j / temperature)]_+ over a query's negatives.

    With the passages of the batch as columns, the same is added for its positive against the other queries. An upper
    bound of the hinge of the hardest negative. Qin et al., Noisy-Correspondence Learning for Text-to-Image Person
    Re-identification (arXiv 2308.09911), for one positive; margin and temperature are meant for cosines.
    """

    margin: float = 0.1
    temperature: float = 0.02

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        positive, columns = positive_scores(scores, targets)[:, 0], scores.shape[1]
        losses = self._hinge(positive, scores.masked_fill(~targets.negatives(columns), -torch.inf))
        if not self.in_batch:
            return losses
        among_queries = scores[:, targets.positive].T  # [b, b]: each positive's scores for all queries
        return losses + self._hinge(positive, among_queries.masked_fill(_own(among_queries), -torch.inf))

    def _hinge(self, positive: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        """[b] of positives [b] and their negatives [b, n], -inf for none; 0 without any."""
        highest = self.temperature * torch.logsumexp(negatives.clamp(min=IMPOSSIBLE) / self.temperature, 1)
        return (self.margin - positive + highest).relu()

    def chance(self, columns: int) -> float:
        """The margin and temperature log(c - 1), twice in a batch: no more than that."""
        return (1 + self.in_batch) * (self.margin + self.temperature * math.log(max(columns - 1, 1)))


def _own(scores: torch.Tensor) -> torch.Tensor:
    return torch.eye(len(scores), dtype=torch.bool, device=scores.device)
