"""KL: the teacher's softmax over a query's passages, to be met."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from rankscale.training.objectives.base import Objective, Targets


@dataclass(frozen=True)
class KL(Objective):
    """T^2 KL(softmax(t / teacher_temperature) || softmax(s / T)), T the `temperature`, t the teacher's scores.

    Hinton et al., Distilling the Knowledge in a Neural Network (arXiv 1503.02531), over the passages of a query. With a
    teacher that is sure of the positive and T = 1 it is InfoNCE.
    """

    temperature: float = 1.0
    teacher_temperature: float = 1.0
    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "own_negatives"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c] and the teacher's [b, c]."""
        assert targets.teacher is not None, "it is needed"
        teacher = (targets.teacher.to(scores.dtype) / self.teacher_temperature).log_softmax(1)
        share, student = teacher.exp(), (scores / self.temperature).log_softmax(1)
        return self.temperature**2 * torch.where(share > 0, share * (teacher - student), 0.0).sum(1)

    def chance(self, columns: int) -> float:
        """T^2 log c, for a teacher that is sure."""
        return self.temperature**2 * math.log(columns)
