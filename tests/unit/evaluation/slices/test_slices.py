"""Slices of the queries: what is in which, and metrics of each against the same queries alone."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rankscale.collection.base import Source
from rankscale.collection.ingest import write_collection
from rankscale.collection.readers import Judgment, Text
from rankscale.evaluation.slices import query_features, sliced
from rankscale.report.test_sets.slices import slices_section
from rankscale.storage import schemas, tables
from tests.unit.synthetic import observed


def features(words, query=None, positive=None):
    n = len(words)
    values = {"words": words, "query_similarity": query or [0.1] * n, "positive_similarity": positive or [0.1] * n}
    return pd.DataFrame(values, index=[f"q{i:05}" for i in range(n)])


def test_thirds_go_by_value_and_equal_values_stay_together():
    slices = sliced.slices_of(features([2] * 30 + [5] * 30 + [9] * 30))
    sizes = {name: int(chosen.sum()) for name, chosen in slices.items()}
    # All are equally novel, and none nearly repeats what was trained on: that is no slice but all.
    assert sizes[("length", "short")] == sizes[("length", "middling")] == sizes[("length", "long")] == 30
    assert sizes[("all", "all")] == sizes[("novelty", "novel")] == sizes[("near_duplicates", "others")] == 90
    assert ("near_duplicates", "near-duplicates") not in sizes


def test_near_duplicates_are_those_above_the_limit_and_few_are_no_slice():
    near = [0.9] * 25 + [0.8] * 40
    slices = sliced.slices_of(features([3] * 65, positive=near))
    assert slices["near_duplicates", "near-duplicates"].sum() == 25
    assert slices["near_duplicates", "others"].sum() == 40
    few = sliced.slices_of(features([3] * 65, positive=[0.9] * 19 + [0.1] * 46))
    assert ("near_duplicates", "near-duplicates") not in few


def test_a_slice_s_metrics_are_those_of_its_queries():
    n = 90
    columns = observed(1e5, 2000, n, np.random.default_rng(3))
    keys = {"query_id": [f"q{i:05}" for i in range(n)], "n_candidates": 64}
    observations = pd.DataFrame(
        {**keys, **{k: v.to_pandas() if isinstance(v, pa.Array) else v for k, v in columns.items()}}
    )
    rows = list(sliced.slice_rows(observations, features([2] * 30 + [5] * 30 + [9] * 30), "expected", "none"))
    by_slice = {(row["slicing"], row["slice"]): row for row in rows}
    reciprocal = 1 / (1 + observations.above)
    longest = by_slice["length", "long"]
    assert longest["n_queries"] == 30
    assert longest["mrr"] == pytest.approx(reciprocal[60:].mean())
    assert longest["mean_log_rank"] == pytest.approx(np.log1p(observations.above[60:]).mean())
    assert longest["worst_tenth"] == pytest.approx(np.sort(reciprocal[60:])[:3].mean())
    assert longest["spread"] == pytest.approx(reciprocal[60:].std(ddof=1))
    # The thirds together are all.
    parts = [by_slice["length", name]["mrr"] for name in ("short", "middling", "long")]
    assert np.mean(parts) == pytest.approx(by_slice["all", "all"]["mrr"])


def test_likeness_is_to_what_is_trained_on_alone(tmp_path):
    texts = ["red fox jumps high", "blue whale sings low", "green frog sleeps", "red fox jumps high again"]
    queries = ["who jumps: the red fox", "whale songs", "which frog", "red fox jumping high"]
    source = Source(
        [Text(f"d{n}", "", text, "") for n, text in enumerate(texts)],
        [Text(f"q{n}", "", text, "") for n, text in enumerate(queries)],
        {
            "train": [Judgment("q0", "d0", 1, ""), Judgment("q1", "d1", 1, "")],
            "test": [Judgment("q2", "d2", 1, ""), Judgment("q3", "d3", 1, "")],
        },
        {},
    )
    files = write_collection(source, tmp_path, "join", {"": 1}).files
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    names = schemas.SCHEMAS["candidates"].names
    values = ["test", "test"], ["hard", "hard"], ["q3", "q2"], [3, 2], [[0, 1], [0, 1]]
    candidates = pa.table(dict(zip(names, values, strict=True)), schemas.SCHEMAS["candidates"])
    features = query_features.query_features(tmp_path, tmp_path, "train", candidates)
    assert features.index.tolist() == ["q3", "q2"]
    assert features.words.tolist() == [4, 2]
    assert features.positive_similarity["q3"] > query_features.DUPLICATE > features.positive_similarity["q2"]
    assert features.query_similarity["q3"] > 0.2 > features.query_similarity["q2"]


def test_without_slices_the_report_says_nothing():
    assert slices_section(None, pd.DataFrame()) == ""
    assert not tables.checked("slices", schemas.SCHEMAS["slices"].empty_table().to_pydict(), "x").num_rows
