"""What a seed shifts in all cells alike, and what it leaves unsure."""

import numpy as np
import pandas as pd
import pytest

from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.seed_shifts import level_covariance

SHIFT, RUN = 0.05, 0.02


def study(cells, seeds, random, shift=SHIFT):
    """Rows of a study, and log Rank-Entropy and Score-Uncertainty [2, n], the second shifted half as far."""
    rows = pd.DataFrame([{"model": f"m{c}", "train_queries": 9, "seed": s} for c in range(cells) for s in range(seeds)])
    of_seeds = shift * random.standard_normal(seeds)[rows.seed]
    return rows, np.stack([
        2 - 0.1 * np.repeat(np.arange(cells), seeds) + of_seeds + RUN * random.standard_normal(len(rows)),
        -1.0 + of_seeds / 2 + RUN * random.standard_normal(len(rows)),
    ])  # fmt: skip


def test_it_is_the_variance_of_the_mean_of_seeds():
    random = np.random.default_rng(0)
    estimates = []
    for _ in range(300):
        rows, z = study(6, 3, random)
        y = np.stack([np.exp(z[0]), z[1]])
        n = len(rows)
        block = level_covariance(rows, ["rank_entropy", "score_uncertainty"], y)
        assert block == pytest.approx(block.T)
        assert np.linalg.eigvalsh(block).min() > -1e-9
        relative = block[:n, :n] / np.outer(y[0], y[0])
        assert np.ptp(relative) < 1e-12
        estimates.append((relative[0, 0], block[n, n], block[0, n] / y[0, 0]))
    # Of three seeds; Score-Uncertainty may be negative, so its own is in nats.
    expected = SHIFT**2 / 3 * np.array([1, 1 / 4, 1 / 2])
    assert np.mean(estimates, axis=0) == pytest.approx(expected, rel=0.15)


def test_without_repeats_or_without_shifts_there_is_none():
    random = np.random.default_rng(1)
    rows, z = study(5, 1, random)
    assert not level_covariance(rows, ["rank_entropy"], np.exp(z[:1])).any()
    rows, z = study(1, 3, random)
    assert not level_covariance(rows, ["rank_entropy"], np.exp(z[:1])).any()
    rows, z = study(5, 3, random)
    apart = np.asarray(rows.index % 3 == rows.index // 3 % 3)  # no seed was run in all cells
    assert not level_covariance(rows[apart], ["rank_entropy"], np.exp(z[:1, apart])).any()
    # Noise of runs alone is taken off: what is left of it is a part of its variance over cells and seeds.
    none = [level_covariance(r, ["rank_entropy"], np.exp(z[:1]))[0, 0] / np.exp(2 * z[0, 0]) for r, z in
            (study(6, 3, random, shift=0.0) for _ in range(200))]  # fmt: skip
    assert np.mean(none) < RUN**2 / 6 / 3


def test_the_level_of_a_law_is_as_unsure_as_its_seeds():
    """Four seeds: without their shift the band of the law nearly never holds the truth."""
    random, x = np.random.default_rng(2), np.repeat(np.geomspace(1e4, 1e6, 6), 4)
    truth = np.exp(2 - 0.1 * np.arange(6))
    coverage = np.zeros(2)
    for _ in range(40):
        rows, z = study(6, 4, random)
        y = np.exp(z[0])
        fit = fitting.fit(LAWS["line"], x, y)
        shifts = level_covariance(rows, ["rank_entropy"], y[None]) / np.outer(y, y)
        for i, noise in enumerate((None, shifts)):
            drawn = bootstrap.simulate(fit, noise, 100, random)
            low, high = bootstrap.band(fit, drawn, np.unique(x))
            coverage[i] += np.mean((low <= truth) & (truth <= high)) / 40
    assert coverage[0] < 0.6
    assert coverage[1] > 0.8
