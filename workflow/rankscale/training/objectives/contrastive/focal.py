"""Focal InfoNCE: queries that are answered already count less."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets


@dataclass(frozen=True)
class Focal(Objective):
    """(1 - p+)^gamma times InfoNCE, p+ the positive's softmax, without a gradient through the weight.

    Lin et al., Focal Loss for Dense Object Detection (arXiv 1708.02002), eq. 4, as a weight of each query. With `gamma`
    0 it is InfoNCE.
    """

    gamma: float = 0.5

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        losses = functional.cross_entropy(scores, targets.positive, reduction="none")
        return (-torch.expm1(-losses.detach())) ** self.gamma * losses

    def chance(self, columns: int) -> float:
        """(1 - 1/c)^gamma log c."""
        return (1 - 1 / columns) ** self.gamma * math.log(columns)
