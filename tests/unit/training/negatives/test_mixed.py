"""Interpolated negatives."""

import numpy as np
import pytest
import torch

from rankscale.training.negatives.mixed import draw_mixtures, with_mixtures
from rankscale.training.objectives.base import Targets


def test_a_mixture_is_of_two_negatives_with_shares_of_beta_2_2():
    weights = draw_mixtures(np.random.default_rng(0), 4000, 5, 3)
    assert weights.shape == (4000, 3, 5)
    assert not weights[:, :, 0].any()  # never of the positive
    assert ((weights > 0).sum(2) == 2).all()
    assert weights.sum(2) == pytest.approx(1, abs=1e-6)
    shares = weights[weights > 0]
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / 20, abs=0.003)  # of Beta(2, 2)


@pytest.mark.parametrize("in_batch", [False, True])
def test_its_score_is_that_of_the_mixed_vector(in_batch):
    random = torch.Generator().manual_seed(0)
    b, k, d = 3, 4, 5
    queries, passages = torch.randn(b, d, generator=random), torch.randn(b, k, d, generator=random)
    mixture = torch.from_numpy(draw_mixtures(np.random.default_rng(1), b, k, 2))
    mixed = torch.einsum("bmk,bkd->bmd", mixture, passages)
    scores = queries @ passages.flatten(0, 1).T if in_batch else torch.einsum("bd,bkd->bk", queries, passages)
    ignore = torch.zeros(scores.shape, dtype=torch.bool) if in_batch else None
    positive = torch.arange(b) * k if in_batch else torch.zeros(b, dtype=torch.long)
    longer, targets = with_mixtures(scores, Targets(positive, ignore=ignore, mixture=mixture), in_batch)
    assert torch.equal(longer[:, : scores.shape[1]], scores)
    assert torch.allclose(longer[:, scores.shape[1] :], torch.einsum("bd,bmd->bm", queries, mixed), atol=1e-6)
    assert targets.mixture is None
    assert targets.negatives(longer.shape[1])[:, -2:].all()


def test_what_a_teacher_says_of_it_is_mixed_alike():
    mixture = torch.tensor([[[0.0, 0.25, 0.75]]])
    targets = Targets(torch.zeros(1, dtype=torch.long), teacher=torch.tensor([[9.0, 4.0, 8.0]]), mixture=mixture)
    scores, mixed = with_mixtures(torch.tensor([[1.0, 2.0, 6.0]]), targets, False)
    assert scores.tolist() == [[1, 2, 6, 5]]
    assert mixed.teacher.tolist() == [[9, 4, 8, 7]]
