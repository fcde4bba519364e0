"""Examples of a run: subsets, positives and negatives, by definition."""

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.storage import tables
from rankscale.training.sampler import ExampleSampler
from rankscale.training.training_data import load_training_data, subset
from tests.conftest import write_copies

N = 40  # queries, each with its own document; the last four have a second one


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    ids, docs = [f"q{i}" for i in range(N)], [f"d{i}" for i in range(N + 20)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": ["text"] * len(docs)}, folder / "documents.parquet")
    split = ["train"] * (N - 4) + ["test"] * 4
    tables.write("queries", {"query_id": ids, "text": ["q"] * N}, folder / "queries.parquet")
    judged = [(s, q, d, i) for i, (s, q, d) in enumerate(zip(split, ids, docs, strict=False))]
    judged += [("train", f"q{i}", f"d{N + i}", N + i) for i in range(4)]
    columns = dict(zip(("split", "query_id", "doc_id", "row"), zip(*judged, strict=True), strict=True))
    tables.write("qrels", {**columns, "grade": 1, "positive": True}, folder / "qrels.parquet")
    write_copies(folder)
    mined = [[d for d in range(N) if d != q][:10] for q in range(N)]
    for shard, part in enumerate((slice(0, 7), slice(7, N))):
        n = len(ids[part])
        rows = {"query_id": ids[part], "rows": mined[part], "scores": [[0.0] * 10] * n, "mined": [10] * n}
        tables.write("negatives", rows, folder / f"{shard}.parquet")
    return folder


def examples(collection, source="mined", per_query=3, size=None, seed=1, split="train"):
    negatives = [collection / f"{shard}.parquet" for shard in (0, 1)] if source == "mined" else None
    data = load_training_data(collection, negatives, split, size, "nested", per_query, seed)
    return ExampleSampler(data, per_query, seed)


def test_subsets_are_nested_and_seeded():
    smaller, larger = subset(100, 10, "nested", 1), subset(100, 50, "nested", 1)
    assert set(smaller) < set(larger)
    assert set(smaller) != set(subset(100, 10, "nested", 2))
    assert subset(100, 10, "first", 1).tolist() == list(range(10))
    with pytest.raises(StudyError, match=r"training\.train_queries: a subset of 101 .* only 100"):
        subset(100, 101, "nested", 1)


def test_only_training_queries_are_trained_on(collection):
    assert examples(collection).data.queries.max() < N - 4


@pytest.mark.parametrize("source", ["mined", "random"])
def test_no_negative_is_a_positive_and_draws_change_with_the_pass(collection, source):
    sampler = examples(collection, source)
    positions = sampler.epoch(0)[:16]
    batches = [sampler.batch(epoch, 0, positions)[1] for epoch in (0, 1)]
    for documents in batches:
        queries = sampler.data.queries[positions]
        assert sampler.is_judged(queries, documents[:, :1]).all()
        assert not sampler.is_judged(queries, documents[:, 1:]).any()
    assert not np.array_equal(*batches)
    # A function of seed, pass and position alone: another object draws the same.
    assert np.array_equal(batches[1], examples(collection, source).batch(1, 0, positions)[1])
    assert not np.array_equal(batches[1], examples(collection, source, seed=2).batch(1, 0, positions)[1])


def test_a_copy_of_a_positive_and_the_query_itself_are_never_negatives(collection):
    # Of 60 documents, 59 say what answers q10 says, or are q10.
    write_copies(collection, [(row, 0) for row in range(N + 20) if row not in (5, 6)], [("q10", 5)])
    try:
        sampler = examples(collection, "random", per_query=1)
        for epoch in range(5):
            assert sampler.batch(epoch, 0, np.array([10]))[1][0, 1] == 6
        # In a batch the passages of others are masked by the same look-up.
        assert sampler.is_judged(np.array([10]), np.array([[4, 5, 6, 10]])).tolist() == [[True, True, False, True]]
    finally:
        write_copies(collection)


def test_mined_negatives_of_a_query_do_not_repeat(collection):
    documents = examples(collection, per_query=10).batch(0, 0, np.arange(5))[1]
    assert all(len(set(row)) == 11 for row in documents.tolist())


def test_every_positive_gets_its_turn(collection):
    sampler = examples(collection)
    two = np.flatnonzero(np.array([len(p) for p in sampler.data.positives]) == 2)
    drawn = {sampler.batch(epoch, 0, two)[1][0, 0] for epoch in range(20)}
    assert len(two) == 4
    assert len(drawn) == 2


def test_what_the_queries_lack_is_named(collection):
    with pytest.raises(StudyError, match=r"negatives_per_query: 11 asked for, but query q\d+ has 10"):
        examples(collection, per_query=11)
    with pytest.raises(StudyError, match="no query of split dev has a positive"):
        examples(collection, split="dev")
