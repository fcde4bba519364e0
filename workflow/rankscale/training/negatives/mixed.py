"""Negatives between two mined ones of a query: harder than most, and none of them a document."""

import numpy as np
import torch

from rankscale.training.objectives.base import Targets


def draw_mixtures(random: np.random.Generator, b: int, k: int, count: int) -> np.ndarray:
    """Weights float32 [b, count, k] of `count` mixtures of each query's k passages, the first of which is positive.

    Two of its negatives, drawn without regard to the other mixtures, with shares lambda and 1 - lambda, lambda of
    Beta(2, 2). Kalantidis et al., Hard Negative Mixing for Contrastive Learning (arXiv 2010.01028).
    """
    pairs = np.argsort(random.random((b, count, k - 1)), axis=2)[:, :, :2] + 1
    share = random.beta(2, 2, (b, count))
    weights = np.zeros((b, count, k), np.float32)
    np.put_along_axis(weights, pairs, np.stack([share, 1 - share], 2).astype(np.float32), 2)
    return weights


def with_mixtures(scores: torch.Tensor, targets: Targets, in_batch: bool) -> tuple[torch.Tensor, Targets]:
    """Scores [b, c + m] with those of `targets.mixture` [b, m, k] behind, and their targets.

    A mixture's score is that of its parts in the same shares: for inner products that of the mixed vectors. With
    `in_batch` the scores are of everyone's passages, c = b k.
    """
    mixture = targets.mixture
    assert mixture is not None, "there are mixtures"
    b, count, k = mixture.shape
    own = scores.view(b, b, k)[torch.arange(b), torch.arange(b)] if in_batch else scores
    none = torch.zeros(b, count, dtype=torch.bool, device=scores.device)
    ignore = None if targets.ignore is None else torch.cat([targets.ignore, none], 1)
    mixed = targets._replace(
        ignore=ignore,
        teacher=None if targets.teacher is None else _append(targets.teacher, mixture, targets.teacher),
        grades=None if targets.grades is None else torch.cat([targets.grades, none.to(targets.grades.dtype)], 1),
        mixture=None,
    )
    return _append(scores, mixture, own), mixed


def _append(values: torch.Tensor, mixture: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return torch.cat([values, torch.einsum("bmk,bk->bm", mixture.to(own.dtype), own)], 1)
