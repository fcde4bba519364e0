"""InfoNCE: the softmax cross-entropy of the positive against the negatives."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets


@dataclass(frozen=True)
class InfoNCE(Objective):
    """-log of the softmax of the positive's score among a query's columns, in nats.

    van den Oord et al., Representation Learning with Contrastive Predictive Coding (arXiv 1807.03748), eq. 4, with
    inner products for scores as in Karpukhin et al., Dense Passage Retrieval (arXiv 2004.04906), eq. 2.
    """

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]; a column of -inf counts as none."""
        return functional.cross_entropy(scores, targets.positive, reduction="none")

    def chance(self, columns: int) -> float:
        """log c."""
        return math.log(columns)
