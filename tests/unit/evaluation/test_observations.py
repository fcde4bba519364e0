"""Observations, candidates and IR metrics: by hand, and against ir_measures."""

import ir_measures
import numpy as np
import pyarrow as pa
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.metrics import metrics_of
from rankscale.evaluation import candidates, observations, retrieval_measures, scoring
from rankscale.evaluation.options import SampleOptions
from rankscale.evaluation.query_values import CheckpointQueries, ScoreScale
from rankscale.search.exact_search import PairScores
from rankscale.storage import schemas, tables
from tests.conftest import write_copies
from tests.unit.evaluation.array_scorer import ArrayScorer


def contrast(queries, documents, positive, candidates):
    """Scores of each query's positive and candidates, as the stage gathers them."""
    rows = np.column_stack([positive, candidates])
    pairs = PairScores(queries, np.repeat(np.arange(len(rows)), rows.shape[1]), rows.reshape(-1))
    pairs.add(np.arange(len(documents)), documents)
    return pairs.scores.reshape(rows.shape)


def measured(above, tied, margin, candidates):
    """Every metric over candidates."""
    ones = np.full(len(above), 1.0)
    scale = ScoreScale(1.0, 0.5, 1.5, False)
    queries = CheckpointQueries(ones, above, tied, margin, ones, ones, scale=scale, n_candidates=candidates)
    return {name: value for m in metrics_of("candidates") for name, value in scoring.metric_values(m, queries).items()}


def test_observations_by_hand():
    documents = np.array([[2, 0], [1, 0], [2, 0], [3, 0], [0, 5]], np.float32)
    queries = np.array([[1, 0], [0, 1]], np.float32)
    # Query 0: positive 2; candidates 1, 2, 3: one above, one tied. Query 1: positive 5; candidates 0, 0, 0.
    candidates = np.array([[1, 2, 3], [0, 1, 2]])
    loss, above, tied, margin = observations.observe(contrast(queries, documents, np.array([0, 4]), candidates))
    assert loss == pytest.approx([np.log(np.exp([2.0, 1, 2, 3]).sum()) - 2, np.log(np.exp(5) + 3) - 5])
    assert (above.tolist(), tied.tolist(), margin.tolist()) == ([1, 0], [1, 0], [-1, 5])
    # AUC: query 0 beats 1 of 3 and ties with 1, query 1 beats all. Ranks: 2 or 3, so 2.5; and 1.
    measures = measured(above, tied, margin, 3)
    assert measures["auc"] == pytest.approx((1.5 / 3 + 1) / 2)
    assert (measures["accuracy_1"], measures["mean_rank"], measures["median_rank"]) == (0.5, 1.75, 1.75)
    assert measures["margin_50"] == 2
    # A constant scorer is right as often as chance would be.
    assert measured(np.zeros(4), np.full(4, 3), np.zeros(4), 3)["auc"] == 0.5
    assert measured(np.zeros(4), np.full(4, 3), np.zeros(4), 3)["accuracy_1"] == 0.25


def test_equal_vectors_tie_wherever_they_stand():
    random = np.random.default_rng(0)
    documents = np.repeat(random.normal(size=(1, 128)), 257, 0).astype(np.float32)
    queries = random.normal(size=(300, 128)).astype(np.float32)
    candidates = np.tile(np.arange(1, 257), (300, 1))
    loss, above, tied, _ = observations.observe(contrast(queries, documents, np.zeros(300, int), candidates))
    assert (above == 0).all()
    assert (tied == 256).all()
    assert loss == pytest.approx(np.full(300, np.log(257)))


def test_an_inverse_temperature_multiplies_the_scores():
    loss, *_ = observations.observe(np.array([[1, 3]], np.float32), inverse_temperature=0.5)
    assert loss[0] == pytest.approx(np.log(np.exp(0.5) + np.exp(1.5)) - 0.5)


def test_a_score_that_is_not_finite_is_named():
    with pytest.raises(StudyError, match="evaluated query number 1 is not finite"):
        observations.observe(np.array([[1, 2], [1, np.inf]], np.float32))


def test_pairs_are_scored_whatever_the_parts():
    random = np.random.default_rng(1)
    queries, documents = (random.normal(size=(n, 8)).astype(np.float32) for n in (5, 60))
    which, rows = random.integers(5, size=300), random.integers(60, size=300)
    expected = (queries[which].astype(float) * documents[rows]).sum(1).astype(np.float32)
    for parts in (1, 4):
        pairs = PairScores(queries, which, rows)
        for part in np.array_split(random.permutation(60), parts):
            pairs.add(np.sort(part), documents[np.sort(part)])
        assert np.array_equal(pairs.scores, expected)


def test_candidates_are_drawn_without_replacement_and_a_shortage_is_named():
    mined = np.arange(100)
    drawn = candidates.draw_hard(mined, 64, "q", 7)
    assert len(set(drawn)) == 64
    assert np.array_equal(drawn, candidates.draw_hard(mined, 64, "q", 7))
    assert not np.array_equal(drawn, candidates.draw_hard(mined, 64, "q", 8))
    assert not np.array_equal(drawn, candidates.draw_hard(mined, 64, "other", 7))
    with pytest.raises(StudyError, match=r"candidates\.hard: 101 asked for, but query q has 100"):
        candidates.draw_hard(mined, 101, "q", 7)
    with pytest.raises(StudyError, match="the pool has only 100"):
        candidates.draw_random(mined, 101, "q", 7)


@pytest.mark.parametrize(
    ("rows", "positive", "message"),
    [
        ([[1, 2], [3]], [0, 0], r"lists of \[2, 1\] candidates"),
        ([[1, 9], [3, 2]], [0, 0], "names row"),
        ([[1, -1], [3, 2]], [0, 0], "names row"),
        ([[1, 2], [3, 2]], [0, -1], "names row"),
        ([[], []], [0, 0], "candidates table has lists"),
        ([[1, 2], [3, 3]], [0, 0], "a document twice for query b"),
        ([[1, 2], [3, 0]], [0, 0], "query b, or its positive among its candidates"),
    ],
)
def test_a_candidates_table_that_cannot_be_is_refused(rows, positive, message):
    keys = {"split": "test", "candidates": "hard", "query_id": ["a", "b"]}
    table = tables.checked("candidates", {**keys, "positive": positive, "rows": rows}, "t", unique=False)
    with pytest.raises(StudyError, match=message):
        observations.Contrast("hard", table, pa.array([0, 1]), ArrayScorer(np.ones((2, 3), np.float32)), 5)


def collection_of(folder, documents=60, queries=6):
    """Tables of a collection whose query i is answered by document i; all but the last are test queries."""
    names = [f"q{i}" for i in range(queries)]
    splits = ["test"] * (queries - 1) + ["train"]
    ids = [f"d{i}" for i in range(documents)]
    tables.write("documents", {"doc_id": ids, "title": "", "text": ids}, folder / "documents.parquet")
    qrels = {"split": splits, "query_id": names, "doc_id": ids[:queries], "row": list(range(queries))}
    tables.write("qrels", {**qrels, "grade": 1, "positive": True}, folder / "qrels.parquet")
    write_copies(folder)
    return folder


def mined_table(path, rows):
    columns = {"query_id": [f"q{i}" for i in range(len(rows))], "rows": rows, "mined": [len(r) for r in rows]}
    tables.write("negatives", {**columns, "scores": [[0.0] * len(r) for r in rows]}, path)
    return [path]


def test_candidates_are_what_each_kind_may_hold_and_the_pool_has_all_that_is_judged_or_mined(tmp_path):
    folder = collection_of(tmp_path)
    mined = mined_table(tmp_path / "mined.parquet", [list(range(10, 20))] * 6)
    options = SampleOptions(hard=4, random=5, random_pool=20, pool_sample=7)
    sampled = candidates.sample_candidates(folder, mined, options, pooled=True)
    by_kind = {kind: [] for kind in ("hard", "random")}
    for kind, rows in zip(sampled.candidates["candidates"], sampled.candidates["rows"], strict=True):
        by_kind[kind].append(set(rows))
    assert [len(rows) for rows in by_kind["hard"]] == [4] * 5
    assert all(rows <= set(range(10, 20)) for rows in by_kind["hard"])
    assert not set().union(*by_kind["random"]) & set(range(5))  # positive for an evaluated query
    assert len(set().union(*by_kind["random"])) <= 20
    assert sampled.candidates["positive"] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {*range(5), *range(10, 20)} < set(sampled.pool)
    assert len(sampled.pool) == 5 + 10 + 7
    assert candidates.sample_candidates(folder, [], SampleOptions(random=5), pooled=False).pool is None


def test_no_candidate_is_a_copy_of_a_positive_or_the_query_itself(tmp_path):
    folder = collection_of(tmp_path, documents=20)
    # Document 9 says what 0 says, which answers q0; q1 is document 8 itself.
    write_copies(folder, copies=[(0, 0), (9, 0)], own=[("q1", 8)])
    sampled = candidates.sample_candidates(folder, [], SampleOptions(random=13), pooled=False).candidates
    free = {*range(5, 20)} - {9}
    drawn = dict(zip(sampled["query_id"], map(set, sampled["rows"]), strict=True))
    assert drawn["q1"] == free - {8}
    assert all(rows < free for rows in drawn.values())
    mined = mined_table(tmp_path / "mined.parquet", [[9, 10], [10, 11]])
    with pytest.raises(StudyError, match="a positive of query q0, a copy of one"):
        candidates.sample_candidates(folder, mined, SampleOptions(hard=2), pooled=False)


@pytest.mark.parametrize(
    ("mined", "options", "message"),
    [
        (
            [[0, 10], [10, 11]],
            SampleOptions(hard=2),
            "a positive of query q0, a copy of one or the query itself stands",
        ),
        ([[10]], SampleOptions(), "neither hard nor random ones are asked for"),
        ([[10]], SampleOptions(random=1, splits=["dev"]), "the collection has no split dev"),
        (
            [[10]],
            SampleOptions(random=1, splits=["train"], train_split="train"),
            "query q5 of split train is judged in the training",
        ),
    ],
)
def test_candidates_that_cannot_be_are_refused(tmp_path, mined, options, message):
    shards = mined_table(tmp_path / "mined.parquet", mined)
    with pytest.raises(StudyError, match=message):
        candidates.sample_candidates(collection_of(tmp_path), shards, options, pooled=False)


@pytest.mark.parametrize("parts", [1, 4])
def test_an_evaluation_needs_each_document_once_whatever_the_parts(parts):
    random = np.random.default_rng(2)
    queries, documents = (random.normal(size=(n, 8)).astype(np.float32) for n in (2, 30))
    pool = np.arange(10, 25)
    keys = {"split": ["test"] * 4, "candidates": ["hard", "random"] * 2, "query_id": ["a", "a", "c", "c"]}
    rows = [[1, 2], [12, 13, 14], [3, 2], [20, 21, 22]]
    table = tables.checked("candidates", {**keys, "positive": [0, 0, 4, 4], "rows": rows}, "t")
    ids, query_rows = observations.evaluated_queries(table, pa.array(["x", "c", "a"]), "tokens")
    assert (ids.to_pylist(), query_rows.tolist()) == (["a", "c"], [2, 1])
    evaluation = observations.Evaluation(table, ids, ArrayScorer(queries), 30, pool, depth=5)
    assert set(evaluation.needed) == {0, 1, 2, 3, 4, *pool}
    evaluation.add((part, documents[part]) for part in np.array_split(evaluation.needed, parts))
    columns = {name: column.to_pylist() for name, column in evaluation.observations(1.0).items()}
    assert columns["n_candidates"] == [2, 2, 3, 3]
    expected = observations.observe(np.einsum("qd,qkd->qk", queries, documents[[[0, 1, 2], [4, 3, 2]]]))
    assert columns["loss"][:2] == pytest.approx(expected[0], abs=1e-6)
    assert columns["above"][:2] == expected[1].tolist()
    run = evaluation.run(pa.array([f"d{i}" for i in range(30)]))
    nearest = pool[np.argsort(-(queries @ documents[pool].T), axis=1)[:, :5]]
    assert run["doc_id"].to_pylist() == [f"d{row}" for row in nearest.reshape(-1)]


def test_a_query_is_no_result_of_its_own_and_the_run_is_as_deep_as_before():
    random = np.random.default_rng(3)
    queries, documents = (random.normal(size=(n, 8)).astype(np.float32) for n in (3, 12))
    keys = {"split": "test", "candidates": "hard", "query_id": ["a", "b", "c"]}
    table = tables.checked("candidates", {**keys, "positive": 0, "rows": [[1, 2]] * 3}, "t")
    ids, ranking = pa.array(["a", "b", "c"]), np.argsort(-(queries @ documents.T), axis=1)
    own = np.array([ranking[0, 1], -1, ranking[2, 11]])
    for depth, lengths in ((4, [4, 4, 4]), (12, [11, 12, 11]), (50, [11, 12, 11])):
        evaluation = observations.Evaluation(table, ids, ArrayScorer(queries), 12, np.arange(12), depth=depth, own=own)
        evaluation.add([(np.arange(12), documents)])
        run = evaluation.run(pa.array([str(row) for row in range(12)]))
        expected = [r for q, n in enumerate(lengths) for r in [r for r in ranking[q] if r != own[q]][:n]]
        assert [int(d) for d in run["doc_id"].to_pylist()] == expected
        assert run["rank"].tolist() == [rank for n in lengths for rank in range(1, n + 1)]
        assert run["query_id"].to_pylist() == [q for q, n in zip("abc", lengths, strict=True) for _ in range(n)]


def test_a_query_without_tokens_is_named():
    table = tables.checked(
        "candidates", {"split": "test", "candidates": "hard", "query_id": ["a"], "positive": [0], "rows": [[1]]}, "t"
    )
    with pytest.raises(StudyError, match="folder: no tokens for query a"):
        observations.evaluated_queries(table, pa.array(["b"]), "folder")


def judged_table(qrels, threshold=1):
    names = ("query_id", "doc_id", "grade")
    columns = dict(zip(names, map(list, zip(*qrels, strict=True)), strict=True))
    return pa.table({"split": ["test"] * len(qrels), **columns, "positive": [g >= threshold for g in columns["grade"]]})


def judged_run(seed=0, queries=30, documents=300, depth=200):
    """Qrels with grades, and a run over most of the judged queries."""
    random = np.random.default_rng(seed)
    qrels, run = [], []
    for q in range(queries):
        graded = random.choice(documents, 4, replace=False)
        qrels += [(f"q{q}", f"d{d}", int(g)) for d, g in zip(graded, [2, 1, 1, 0], strict=True)]
        if q < queries - 3:
            ranked = random.permutation(documents)[:depth]
            run += [(f"q{q}", f"d{d}", r + 1, float(-r)) for r, d in enumerate(ranked)]
    return qrels, run


def run_table(run):
    names = ("query_id", "doc_id", "rank", "score")
    columns = dict(zip(names, map(list, zip(*run, strict=True)), strict=True))
    return pa.table({"split": ["test"] * len(run), **columns}).select(retrieval_measures.COLUMNS)


def test_full_retrieval_equals_ir_measures_and_missing_queries_count_0():
    qrels, run = judged_run()
    each = retrieval_measures.full_retrieval([run_table(run[:1111]), run_table(run[1111:])], judged_table(qrels))[
        "test"
    ]
    means = retrieval_measures.means(each)
    assert each["q29"]["mrr_10"] == 0  # judged, not in the run
    names = {"mrr_10": "RR@10", "ndcg_10": "nDCG@10", "recall_100": "R@100", "map": "AP"}
    peers = ir_measures.calc_aggregate(
        [ir_measures.parse_measure(m) for m in names.values()],
        [ir_measures.Qrel(*row) for row in qrels],
        [ir_measures.ScoredDoc(q, d, s) for q, d, _, s in run],
    )
    for ours, theirs in names.items():
        assert means[ours] == pytest.approx(peers[ir_measures.parse_measure(theirs)], abs=1e-6)
    assert means["recall_1000"] is None  # the run is 200 deep


@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        ([("x", "d", 1, 1.0)], [("x", "d", 0)], "test: no query has a positive judgment"),
        ([("x", "d", 1, 1.0)], [("q", "d", 1)], "the run has query x, which nobody judged"),
        ([("q", "d", 1, 1.0), ("q", "d", 2, 0.5)], [("q", "d", 1)], "document d twice for query q"),
        ([("q", "d", 1, 1.0), ("q", "e", 3, 0.5)], [("q", "d", 1)], "2 results for query q, ranked up to 3"),
    ],
)
def test_runs_and_judgments_that_cannot_be_measured_are_refused(run, qrels, message):
    with pytest.raises(StudyError, match=message):
        retrieval_measures.full_retrieval([run_table(run)], judged_table(qrels))


def test_mixed_observations_are_refused():
    keys = {"collection": "c", "variant": "base", "model": "m", "train_queries": 1, "seed": 1, "step": 1}
    keys |= {"split": "test", "candidates": "hard"}
    columns = {**keys, "query_id": ["a", "b"], "n_candidates": [64, 32], "loss": [1.0, 1.0], "above": [0, 1], "tied": 0}
    columns |= {"margin": 0.0, "calibrated_loss": 1.0, "inverse_temperature": 1.0, "auc_global": 0.5, "at_cap": False}
    columns |= dict.fromkeys((f"best_inverse_temperature{end}" for end in ("", "_low", "_high")), 1.0)
    columns = {k: v if isinstance(v, list) else [v] * 2 for k, v in columns.items()}
    table = pa.table({n: columns[n] for n in schemas.SCHEMAS["observations"].names}).cast(
        schemas.SCHEMAS["observations"]
    )
    with pytest.raises(StudyError, match=r"\[64, 32\] candidates are mixed"):
        scoring.score_observations(table, "expected", "jackknife")
