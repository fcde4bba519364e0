"""Negatives found at a step: exactly those of a plain sort, and never what is none of the query."""

import numpy as np
import pytest
import torch

from rankscale.training.negatives import dynamic
from rankscale.training.negatives.dynamic import Wanted, nearest


def wanted_of(wrong):
    """A step whose query i has the rows `wrong[i]` that are never its negatives."""
    rows = np.concatenate(wrong).astype(np.int64)
    owners = np.repeat(np.arange(len(wrong)), list(map(len, wrong)))
    order = np.argsort(rows, kind="stable")
    tensors = torch.from_numpy(owners[order]), torch.from_numpy(rows[order])
    positives = torch.tensor([int(own[0]) for own in wrong])
    return Wanted(np.arange(len(wrong)), positives, *tensors, rows[order], 0, 0)


def sorted_plainly(queries, passages, wrong, depth):
    scores = queries.astype(np.float64) @ passages.T.astype(np.float64)
    for i, rows in enumerate(wrong):
        scores[i, rows] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :depth]


@pytest.mark.parametrize("depth", [1, 7, 60])
@pytest.mark.parametrize("block", [1 << 24, 5 * 64, 5 * 7])
def test_they_are_those_of_a_plain_sort(monkeypatch, depth, block):
    monkeypatch.setattr(dynamic, "BLOCK", block)
    random = np.random.default_rng(0)
    # Whole numbers: their products are exact, so that many scores tie and the order of rows decides.
    queries, passages = random.integers(-3, 4, (5, 6)), random.integers(-3, 4, (200, 6))
    wrong = [random.choice(200, random.integers(1, 5), replace=False) for _ in queries]
    wrong[2] = sorted_plainly(queries, passages, [[]] * 5, 4)[2]  # its very nearest
    vectors = (torch.from_numpy(array.astype(np.float32)) for array in (queries, passages))
    negatives = nearest(*vectors, wanted_of(wrong), depth).numpy()
    assert np.array_equal(negatives, sorted_plainly(queries, passages, wrong, depth))
    assert not any(np.isin(rows, own).any() for rows, own in zip(negatives, wrong, strict=True))


def test_all_that_is_left_can_be_asked_for():
    random = np.random.default_rng(1)
    queries, passages = random.normal(size=(3, 4)).astype(np.float32), random.normal(size=(9, 4)).astype(np.float32)
    wrong = [np.array([0, 8]), np.array([3]), np.array([5, 1])]
    negatives = nearest(torch.from_numpy(queries), torch.from_numpy(passages), wanted_of(wrong), 7).numpy()
    assert np.array_equal(negatives, sorted_plainly(queries, passages, wrong, 7))
    assert set(negatives[0]) == set(range(1, 8))
