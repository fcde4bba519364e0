"""Two checkpoints query by query, and runs to TREC's format and back."""

import re

import ir_measures
import numpy as np
import pytest
from scipy.stats import ttest_rel

from rankscale.core.errors import StudyError
from rankscale.core.metrics import PARTS
from rankscale.evaluation import paired_tests, trec_format
from rankscale.evaluation.decomposition import decompose
from rankscale.evaluation.observations import calibration_columns
from rankscale.storage import tables
from tests.conftest import stage

RUN = {"collection": "c", "variant": "base", "model": "m", "train_queries": 1, "seed": 1, "step": 1}


def observed(path, seed, shift, n=300):
    """A table of observations of made-up scores; its losses."""
    random = np.random.default_rng(seed)
    scores = np.random.default_rng(99).normal(size=(n, 33)) + 0.5 * random.normal(size=(n, 33))
    scores[:, 0] += shift
    above = (scores[:, 1:] > scores[:, :1]).sum(1)
    loss = np.log(np.exp(scores).sum(1)) - scores[:, 0]
    ids = np.array([f"q{i}" for i in range(n)])
    columns = {"split": "test", "query_id": ids, "candidates": "hard", "n_candidates": 32}
    observations = {"loss": loss, "above": above, "tied": 0, "margin": scores[:, 0] - scores[:, 1:].max(1)}
    observations |= calibration_columns(scores, np.full(n, "test"), ids, "hard")
    tables.write("observations", {**RUN, **columns, **observations}, path)
    return loss, above


def test_differences_are_paired_and_tested(tmp_path):
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    (loss_a, above_a), (loss_b, above_b) = observed(a, 1, 1.0), observed(b, 2, 1.3)
    by_measure = {row["measure"]: row for row in paired_tests.paired_differences(a, b, 4000, 7, "expected")}
    row = by_measure["cross_entropy"]
    assert row["difference"] == pytest.approx(loss_b.mean() - loss_a.mean())
    # A paired t-test is nearly the same test, and its interval nearly the same interval.
    peer = ttest_rel(loss_b, loss_a)
    assert row["p"] == pytest.approx(peer.pvalue, abs=0.02)
    assert (row["low"], row["high"]) == pytest.approx(tuple(peer.confidence_interval()), rel=0.02)
    entropy = [decompose(*sample, n_candidates=32).rank_entropy for sample in ((loss_a, above_a), (loss_b, above_b))]
    assert by_measure["rank_entropy"]["difference"] == pytest.approx(entropy[1] - entropy[0])
    calibrated = {f"calibrated_{name}" for name in PARTS} - {"calibrated_rank_entropy"}
    assert set(by_measure) == {*PARTS, *calibrated, "mrr", "mean_log_rank", "auc_global"}
    same = {row["measure"]: row for row in paired_tests.paired_differences(a, a, 100, 7, "expected")}
    assert (same["mrr"]["difference"], same["mrr"]["p"]) == (0, 1)


def test_the_test_holds_its_level(tmp_path):
    """Of comparisons between equals some 5 % come out below .05."""
    low = 0
    for i in range(60):
        observed(tmp_path / "a.parquet", 2 * i, 1.0, 80), observed(tmp_path / "b.parquet", 2 * i + 1, 1.0, 80)
        rows = paired_tests.paired_differences(tmp_path / "a.parquet", tmp_path / "b.parquet", 400, i, "expected")
        low += next(row["p"] for row in rows if row["measure"] == "cross_entropy") < 0.05
    assert low <= 9  # a chance of .001 for more


def test_other_queries_and_other_tables_are_refused(tmp_path, study):
    observed(tmp_path / "a.parquet", 1, 1.0)
    observed(tmp_path / "b.parquet", 1, 1.0, 299)
    done = stage("compare", tmp_path / "a.parquet", tmp_path / "b.parquet", check=False)
    assert done.returncode == 1
    assert "other queries (q299 is in one of them)" in done.stdout.splitlines()[-1]
    for other in (study / "metrics.parquet", tmp_path / "nowhere.parquet"):
        done = stage("compare", tmp_path / "a.parquet", other, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout


def test_two_checkpoints_of_a_study_are_compared_on_retrieval(study):
    files = [study / f"per_query/docstrings/base/{model}/1024/42/final.parquet" for model in ("L1H8", "L1H32")]
    output = stage("compare", *files, "--draws", 500).stdout
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    finals = metrics[(metrics.checkpoint == "final") & (metrics.train_queries == 1024)].drop_duplicates("model")
    ndcg = finals.set_index("model").ndcg_10
    assert f"{ndcg.L1H32 - ndcg.L1H8:.4g}" in next(line for line in output.splitlines() if "ndcg_10" in line)


def test_a_run_goes_to_trec_s_format_and_back(study, shared, tmp_path):
    path = study / "runs/docstrings/base/L1H32/1024/42/final.parquet"
    stage("trec", "--run", path, "--output", tmp_path / "run.txt")
    stage("trec", "--read", tmp_path / "run.txt", "--output", tmp_path / "back.parquet")
    assert re.search(r" base-L1H32-1024-42-\d+$", (tmp_path / "run.txt").read_text().splitlines()[0])
    columns = ["query_id", "doc_id", "rank", "score"]
    before, after = (tables.read("runs", p).select(columns) for p in (path, tmp_path / "back.parquet"))
    assert after.equals(before)
    # Another reader finds the same measures in the file.
    qrels = tables.read("qrels", shared / "qrels.parquet").to_pandas()
    qrels = qrels[(qrels.split == "test") & qrels.positive]
    judged = [ir_measures.Qrel(r.query_id, r.doc_id, 1) for r in qrels.itertuples()]
    peer = ir_measures.calc_aggregate(
        [ir_measures.RR @ 10], judged, ir_measures.read_trec_run(str(tmp_path / "run.txt"))
    )
    per_query = tables.read("per_query", study / "per_query/docstrings/base/L1H32/1024/42/final.parquet")
    assert np.mean(per_query["mrr_10"]) == pytest.approx(peer[ir_measures.RR @ 10], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d 1 2.0\n", "run.txt:1: 'q Q0 d 1 2.0' is not query"),
        ("q Q0 d 1 2.0 t\nq Q0 e one 1 t\n", "run.txt:2: "),
        ("q Q0 d 1 nan t\n", "run.txt:1: the score is no number"),
        ("q Q0 d 1 2 t\nq Q0 d 2 1 t\n", "query q has a document twice"),
        ("", "holds no results"),
    ],
)
def test_what_is_no_run_is_named(tmp_path, text, message):
    (tmp_path / "run.txt").write_text(text)
    with pytest.raises(StudyError, match=message):
        trec_format.read_trec(tmp_path / "run.txt", {})
