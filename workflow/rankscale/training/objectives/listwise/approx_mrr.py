"""Approximate reciprocal rank: a smooth place of the positive."""

from dataclasses import dataclass

import torch

from rankscale.training.objectives.base import Objective, Targets, positive_scores


@dataclass(frozen=True)
class ApproxMRR(Objective):
    """1 - 1 / (1 + sum_j sigmoid((s_j - s+) / temperature)): one minus the reciprocal of a smooth rank.

    As the temperature goes to 0 it tends to one minus the reciprocal rank. Qin et al., A General Approximation
    Framework for Direct Optimization of Information Retrieval Measures (Information Retrieval 13, 2010).
    """

    temperature: float = 0.1

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        above = ((scores - positive_scores(scores, targets)) / self.temperature).sigmoid()
        outranked = above.masked_fill(~targets.negatives(scores.shape[1]), 0.0).sum(1)
        return outranked / (1 + outranked)

    def chance(self, columns: int) -> float:
        """1 - 2 / (c + 1)."""
        return 1 - 2 / (columns + 1)
