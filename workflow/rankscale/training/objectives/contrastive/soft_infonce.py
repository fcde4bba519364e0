"""Soft InfoNCE: InfoNCE in which negatives that another model finds relevant count less."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets


@dataclass(frozen=True)
class SoftInfoNCE(Objective):
    """-log (e^s+ / (e^s+ + sum_j w_j e^s_j)) with w_j = max(floor, (beta - alpha p_j) / (beta - alpha / k)).

    p is the softmax of the teacher's scores, divided by `temperature`, over the k negatives: those that it finds likely
    are taken for unjudged positives. With `alpha` 0 it is InfoNCE; a single negative weighs 1. Li et al., Rethinking
    Negative Pairs in Code Search (arXiv 2310.08069).
    """

    alpha: float = 1.0
    beta: float = 1.0
    temperature: float = 1.0
    floor: float = 0.1
    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "own_negatives"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c] with the teacher's [b, c]."""
        assert targets.teacher is not None, "it is needed"
        negatives = targets.negatives(scores.shape[1])
        k = negatives.sum(1, keepdim=True).to(scores.dtype)
        sureness = targets.teacher.to(scores.dtype) / self.temperature
        likely = sureness.masked_fill(~negatives, -torch.inf).softmax(1)
        weights = ((self.beta - self.alpha * likely) / (self.beta - self.alpha / k)).clamp(min=self.floor)
        log_weights = weights.log().masked_fill(~negatives | (k < 2), 0.0)
        return functional.cross_entropy(scores + log_weights, targets.positive, reduction="none")

    def chance(self, columns: int) -> float:
        """log c, where the teacher tells nothing."""
        return math.log(columns)
