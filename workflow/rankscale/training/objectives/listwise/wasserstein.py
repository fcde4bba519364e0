"""Wasserstein: the distance between the scores and the grades of a batch, as if both were Gaussian."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from rankscale.training.objectives.base import Objective, Targets

TINY = 1e-20  # under a root, which has no slope at 0


@dataclass(frozen=True)
class Wasserstein(Objective):
    """|m_x - m_y|^2 + Tr(C_x + C_y - 2 (C_x C_y)^(1/2)), x the softmax of a query's scores, y that of its grades.

    Means and covariances are those of the batch's rows; the distance is one number, the same for every query. In double
    precision. Graded labels only: the softmax of binary ones is nearly flat. Esfandiarpoor et al., Beyond Contrastive
    Learning (arXiv 2503.23239).
    """

    temperature: float = 1.0
    needs: ClassVar[frozenset[str]] = frozenset({"grades", "own_negatives", "whole_batch"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss [b] of scores [b, c] of the whole batch and their grades [b, c]."""
        assert targets.grades is not None, "they are needed"
        x = (scores.double() / self.temperature).softmax(1)
        y = targets.grades.double().softmax(1)
        size = max(len(x) - 1, 1) ** 0.5
        a, b = (x - x.mean(0)) / size, (y - y.mean(0)) / size  # C_x = a^T a, C_y = b^T b
        # The eigenvalues of C_x C_y are the squares of the singular values of a b^T.
        root = (torch.linalg.svdvals(a @ b.T) ** 2 + TINY).sqrt().sum() - TINY**0.5 * len(x)
        distance = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * root
        return distance.to(scores.dtype).expand(len(scores))

    def chance(self, columns: int) -> float:
        """2, which it never exceeds: both are distributions."""
        return 2.0
