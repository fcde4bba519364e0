"""Mann-Whitney: every positive of the batch against every negative of the batch, whoever's they are."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets, positive_scores


@dataclass(frozen=True)
class MannWhitney(Objective):
    """The mean of log(1 + e^(n - p)) over all pairs of a positive's score p and a negative's score n of the batch.

    Scores of different queries are compared, as a threshold for all of them would. It bounds the area over the ROC
    curve of the pooled pairs: area <= loss / log 2. arXiv 2510.00137.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"whole_batch"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of each positive, of scores float32 [b, c] of the whole batch."""
        negatives = scores[targets.negatives(scores.shape[1])]  # [m]
        pairs = functional.softplus(negatives - positive_scores(scores, targets))  # [b, m]
        return pairs.sum(1) / max(len(negatives), 1)

    def chance(self, columns: int) -> float:
        """log 2."""
        return math.log(2)
