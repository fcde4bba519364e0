"""Exact search and hard negatives, against a naive search."""

import numpy as np
import pyarrow as pa
import pytest

from rankscale import judgments, mine, search
from rankscale.errors import StudyError


def naive(documents, queries, depth):
    """Every score in double, sorted stably by document order."""
    scores = (queries.astype(np.float64) @ documents.T.astype(np.float64)).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, order, 1), order


@pytest.mark.parametrize("depth", [1, 10, 150, 400])
def test_search_is_exact_and_ties_keep_document_order(depth):
    random = np.random.default_rng(0)
    documents = random.normal(size=(150, 16)).astype(np.float32)
    documents[40:120] = documents[random.integers(0, 10, 80)]  # many equal documents
    queries = random.normal(size=(30, 16)).astype(np.float32)
    scores, rows = search.search(documents, queries, depth)
    expected_scores, expected = naive(documents, queries, depth)
    assert np.array_equal(rows, expected)
    assert np.allclose(scores, expected_scores, rtol=1e-6)


def test_all_documents_equal():
    documents = np.ones((300, 4), np.float32)
    _, rows = search.search(documents, np.ones((2, 4), np.float32), 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_the_top_k_is_a_prefix_of_a_longer_one():
    random = np.random.default_rng(1)
    documents, queries = (random.normal(size=(n, 8)).astype(np.float32) for n in (500, 20))
    assert np.array_equal(search.search(documents, queries, 10)[1], search.search(documents, queries, 100)[1][:, :10])


def test_positives_are_removed_and_a_short_list_is_named():
    scores = np.array([[3.0, 2.0, 1.0]], np.float32)
    rows = np.array([[5, 6, 7]])
    kept_scores, kept = mine.without_positives(scores, rows, [np.array([6])], 2, ["q"])
    assert (kept.tolist(), kept_scores.tolist()) == ([[5, 7]], [[3.0, 1.0]])
    with pytest.raises(StudyError, match=r"miner\.top_k: 3 negatives asked for, but query q has only 2"):
        mine.without_positives(scores, rows, [np.array([6])], 3, ["q"])


def test_judgments_of_unknown_documents_are_named():
    qrels = pa.table({"query_id": ["q"], "doc_id": ["gone"], "positive": [True]})
    with pytest.raises(StudyError, match="document gone, which the collection lacks"):
        judgments.positives_of(qrels, pa.array(["q"]), pa.array(["d"]))


def test_what_is_judged_not_positive_is_none():
    qrels = pa.table({"query_id": ["q", "q"], "doc_id": ["a", "b"], "positive": [False, True]})
    assert judgments.positives_of(qrels, pa.array(["q"]), pa.array(["a", "b"]))[0].tolist() == [1]
