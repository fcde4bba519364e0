"""Fewer queries: what is known of the parts, and what the correction is for."""

import numpy as np
import pandas as pd
import pytest

from rankscale.evaluation.decomposition import decompose
from rankscale.evaluation.query_subsampling import parts_by_query_count, query_counts


def observed(queries, seed=0):
    """Ranks from a geometric law, losses that follow them."""
    random = np.random.default_rng(seed)
    above = np.minimum(random.geometric(0.15, queries) - 1, 64)
    return pd.DataFrame({"loss": 0.1 * above + random.exponential(0.4, queries), "above": above, "tied": 0})


def test_sizes_halve():
    assert query_counts(1500) == [1500, 750, 375, 187, 93]
    assert query_counts(60) == [60]


def test_all_queries_give_the_decomposition_itself():
    part = observed(400)
    rows = {
        (r["correction"], r["part"], r["n_queries"]): r
        for r in parts_by_query_count(part, "expected", 5, np.random.default_rng(1))
    }
    whole = decompose(part.loss, part.above, part.tied)
    assert rows["jackknife", "rank_entropy", 400]["mean"] == pytest.approx(whole.rank_entropy, abs=1e-12)
    assert rows["none", "rank_score_alignment", 400]["mean"] == pytest.approx(
        whole.rank_score_alignment_plugin, abs=1e-12
    )
    assert rows["none", "rank_entropy", 400]["spread"] is None
    assert rows["jackknife", "rank_entropy", 100]["draws"] == 5


def test_the_plug_in_falls_with_the_queries_and_the_correction_holds_it():
    """The law drawn from has an entropy; from 62 queries the plug-in lacks some (K - 1) / 2Q of it."""
    part = observed(4000)
    rows = {
        (r["correction"], r["n_queries"]): r
        for r in parts_by_query_count(part, "expected", 60, np.random.default_rng(1))
        if r["part"] == "rank_entropy"
    }
    p = 0.15 * 0.85 ** np.arange(64)
    p = np.append(p, 1 - p.sum())
    truth = -(p * np.log(p)).sum()
    few = min(n for _, n in rows)
    assert truth - rows["none", few]["mean"] > 0.1
    assert abs(rows["jackknife", few]["mean"] - truth) < 0.06
    assert rows["jackknife", few]["spread"] > rows["jackknife", 2000]["spread"]
