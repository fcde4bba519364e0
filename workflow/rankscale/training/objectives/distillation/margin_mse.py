"""Margin-MSE: the teacher's differences of scores, to be met."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from rankscale.training.objectives.base import Objective, Targets, mean_over, positive_scores


@dataclass(frozen=True)
class MarginMSE(Objective):
    """The mean over a query's negatives of ((s+ - s_j) - (t+ - t_j))^2, t the teacher's scores times `scale`.

    Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation (arXiv
    2010.02666). A teacher of cosines wants a scale near that of the scores.
    """

    scale: float = 1.0
    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "own_negatives"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c] and the teacher's [b, c]."""
        assert targets.teacher is not None, "it is needed"
        error = scores - self.scale * targets.teacher.to(scores.dtype)
        errors = (error - positive_scores(error, targets)) ** 2
        return mean_over(errors, targets.negatives(scores.shape[1]))

    def chance(self, columns: int) -> float:
        """0: what it is hangs on the teacher."""
        return 0.0
