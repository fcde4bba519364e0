"""BM25 and the other references: scores by hand, a run as bm25s gives it, and measures as of checkpoints."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
import pytrec_eval

from rankscale.collection.base import Source
from rankscale.collection.ingest import write_collection
from rankscale.collection.readers import Judgment, Text
from rankscale.core.errors import StudyError
from rankscale.evaluation.references import measured, rankings
from rankscale.evaluation.references.bm25 import bm25_scores, top
from rankscale.evaluation.references.options import ReferOptions
from rankscale.evaluation.references.task import ReferenceTask
from rankscale.search.exact_search import unpack
from rankscale.stages import refer
from rankscale.storage import schemas, tables

DOCUMENTS = ["red fox jumps", "red red wolf", "a green frog sleeps under green leaves", "blue whale", "the"]


def candidates(rows):
    """A candidates table of (query, positive, candidates)."""
    names = schemas.SCHEMAS["candidates"].names
    columns = [("test", "hard", query, positive, list(others)) for query, positive, others in rows]
    return pa.table(dict(zip(names, map(list, zip(*columns, strict=True)), strict=True)), schemas.SCHEMAS["candidates"])


def test_bm25_is_lucene_s_formula_by_hand():
    task = ReferenceTask(candidates([("q", 0, [1, 3])]), np.arange(5), depth=2)
    scored = bm25_scores(DOCUMENTS, ["red fox unheardof"], task, ReferOptions())
    # Words of two letters or more without bm25s's English stop words: 3, 3, 6 (a), 2 and 0 (the) of them.
    lengths = [3, 3, 5 + ("under" not in _stop_words()), 2, 0]
    average = sum(lengths) / 5

    def weight(times, documents_with, length):
        idf = math.log(1 + (5 - documents_with + 0.5) / (documents_with + 0.5))
        return idf * times / (times + 1.5 * (1 - 0.75 + 0.75 * length / average))

    fox = weight(1, 2, 3) + weight(1, 1, 3)
    wolf = weight(2, 2, 3)
    assert scored.pairs == pytest.approx([fox, wolf, 0], rel=1e-5)
    assert scored.best_rows.tolist() == [[0, 1]]
    assert scored.best[0] == pytest.approx([fox, wolf], rel=1e-5)


def _stop_words():
    from bm25s.stopwords import STOPWORDS_EN

    return STOPWORDS_EN


def test_a_query_without_a_known_word_scores_all_alike_and_ties_go_by_row():
    task = ReferenceTask(candidates([("q", 4, [1, 3])]), np.array([1, 3, 4]), depth=2)
    scored = bm25_scores(DOCUMENTS, ["zzz"], task, ReferOptions())
    assert scored.pairs.tolist() == [0, 0, 0]
    assert scored.best_rows.tolist() == [[1, 3]]
    with pytest.raises(StudyError, match="no document has a word"):
        bm25_scores(["a", "I"], ["red"], task, ReferOptions())


def test_the_best_are_those_of_a_full_sort_ties_included():
    draw = np.random.default_rng(0)
    for depth in (1, 5, 40):
        scores = draw.integers(0, 6, 40).astype(np.float32)
        rows = np.sort(draw.choice(1000, 40, replace=False))
        expected = sorted(zip(-scores, rows, strict=True))[:depth]
        assert unpack(top(scores, rows, depth))[1].tolist() == [row for _, row in expected]


def test_random_scores_are_seeded_query_by_query_and_tell_nothing():
    table = candidates([(f"q{n}", 0, range(1, 17)) for n in range(2000)])
    task = ReferenceTask(table, np.arange(50), depth=10)
    scored = rankings.random_scores(task, 3)
    # The last query alone has the same scores: nothing hangs on the others.
    alone = rankings.random_scores(ReferenceTask(candidates([("q1999", 0, range(1, 17))]), np.arange(50), 10), 3)
    assert scored.pairs[-17:].tolist() == alone.pairs.tolist()
    assert scored.best_rows[-1].tolist() == alone.best_rows[0].tolist()
    assert all(len(set(rows)) == 10 for rows in scored.best_rows.tolist())
    (row,) = measured.candidate_rows(task, scored.pairs, "expected", "none")
    # The mean of 1/rank over ranks 1 to 17 is their harmonic number over 17; 2,000 queries have an error of some 0.006.
    assert row["mrr"] == pytest.approx(sum(1 / n for n in range(1, 18)) / 17, abs=0.02)
    assert row["auc"] == pytest.approx(0.5, abs=0.02)
    assert row["rank_entropy"] == pytest.approx(math.log(17), abs=0.05)


def test_vectors_score_pairs_and_searched_documents_as_inner_products():
    draw = np.random.default_rng(1)
    documents, queries = draw.normal(size=(30, 4)).astype(np.float32), draw.normal(size=(2, 4)).astype(np.float32)
    searched = np.arange(0, 30, 2)
    own = np.array([-1, 4])
    task = ReferenceTask(candidates([("a", 0, [1, 2]), ("b", 3, [5, 7])]), searched, 3, own)
    parts = [(np.arange(12), documents[:12]), (np.arange(12, 30), documents[12:])]
    scored = rankings.vector_scores(queries, parts, task)
    products = queries @ documents.T
    assert scored.pairs == pytest.approx(np.concatenate([products[0, [0, 1, 2]], products[1, [3, 5, 7]]]), rel=1e-5)
    ids = pa.array([f"d{n}" for n in range(30)])
    (run,) = measured.run_of(task, scored, ids)
    for number, (query, left_out) in enumerate((("a", -1), ("b", 4))):
        order = [row for row in searched[np.argsort(-products[number, searched])] if row != left_out][:3]
        rows = [row for row in run.to_pylist() if row["query_id"] == query]
        assert [row["doc_id"] for row in rows] == [f"d{row}" for row in order]
        assert [row["rank"] for row in rows] == [1, 2, 3]


WORDS = [f"{first}{last}" for first in ("bar", "lin", "mor", "tes") for last in ("ang", "en", "il", "omu", "ust")]


@pytest.fixture
def collection(tmp_path):
    """A collection of 200 documents of some words, many of them alike, and 40 queries of two words each."""
    draw = np.random.default_rng(5)
    texts = [" ".join(draw.choice(WORDS, draw.integers(3, 12))) for _ in range(200)]
    queries = [" ".join(text.split()[:2]) for text in texts[:40]]
    source = Source(
        [Text(f"d{n}", "", text, f"line {n}") for n, text in enumerate(texts)],
        [Text(f"q{n}", "", text, f"line {n}") for n, text in enumerate(queries)],
        {"test": [Judgment(f"q{n}", f"d{n}", 1, f"line {n}") for n in range(40)]},
        {},
    )
    files = write_collection(source, tmp_path / "shared", "join", {"": 1}).files
    (tmp_path / "shared/manifest.json").write_text(json.dumps({"study": "s", "settings": {}, "files": files}))
    rows = [(f"q{n}", n, [(n + k) % 200 for k in range(1, 9)]) for n in range(40)]
    tables.write("candidates", candidates(rows), tmp_path / "candidates.parquet")
    return tmp_path, texts, queries


def refer_to(folder, *more):
    options = (
        "--collection",
        folder / "shared",
        "--collection-name",
        "c",
        "--candidates",
        folder / "candidates.parquet",
    )
    words = [*options, "--output", folder / "out.parquet", *more]
    refer.main(refer.arguments().parse_args(list(map(str, words))))
    return tables.read("references", folder / "out.parquet").to_pylist()


def test_bm25_s_ndcg_is_that_of_bm25s_called_by_hand(collection):
    import bm25s

    folder, texts, queries = collection
    (row,) = refer_to(folder, "--reference", "bm25", "--kind", "bm25", "--top-k", 100)
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    found, scores = index.retrieve(bm25s.tokenize(queries, show_progress=False), k=100, show_progress=False)
    # Equal scores in the collection's order, which trec_eval would order by id.
    ordered = [[row for _, row in sorted(zip(-scores[n], found[n], strict=True))] for n in range(40)]
    run = {f"q{n}": {f"d{row}": -float(rank) for rank, row in enumerate(rows)} for n, rows in enumerate(ordered)}
    judged = {f"q{n}": {f"d{n}": 1} for n in range(40)}
    values = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10"}).evaluate(run)
    assert row["ndcg_10"] == pytest.approx(np.mean([value["ndcg_cut_10"] for value in values.values()]), abs=1e-9)
    assert 0.3 < row["ndcg_10"] < 1
    assert row["about"].startswith("bm25s ")
    assert "lucene, k1 1.5, b 0.75, English stop words left out, no stemming" in row["about"]
    assert (row["retrieval"], row["n_queries"], row["n_candidates"]) == ("full", 40, 8)


def test_without_a_run_there_are_the_candidates_alone_and_of_a_file_the_run_alone(collection):
    folder, *_ = collection
    (row,) = refer_to(folder, "--reference", "random", "--kind", "random")
    assert row["ndcg_10"] is None
    assert row["retrieval"] == "none"
    assert row["mrr"] is not None
    lines = [f"q{n} Q0 d{n if n % 2 else n + 1} 1 9.5 mine\nq{n} Q0 d{n + 2} 2 9 mine\n" for n in range(40)]
    (folder / "mine.run").write_text("".join(lines) + "other Q0 d1 1 1.0 mine\n")
    (row,) = refer_to(folder, "--reference", "mine", "--kind", "run", "--run", folder / "mine.run")
    assert row["mrr_10"] == 0.5  # every second query has its document first, the others not at all
    assert row["mrr"] is None
    assert row["about"] == "mine.run"
    with pytest.raises(StudyError, match="dev is no test set of this collection"):
        refer_to(folder, "--reference", "mine", "--kind", "run", "--run", folder / "mine.run", "--split", "dev")
    (folder / "mine.run").write_text("other Q0 d1 1 1.0 mine\n")
    with pytest.raises(StudyError, match="results for none of the 40 queries of test"):
        refer_to(folder, "--reference", "mine", "--kind", "run", "--run", folder / "mine.run")
