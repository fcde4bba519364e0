"""A small study of three kinds of ranker as it really runs."""

import pytest

from rankscale.models.checkpoints import load_checkpoint
from rankscale.storage import tables
from tests.conftest import clone, run
from tests.workflow.test_reruns import jobs

THREE = """
study: three
collection: {name: docstrings, source: docstrings, sample: 1500, test_queries: 200, dev_queries: 50}
tokenizer: {name: wordpiece, vocabulary: 1000}
miner: {name: lsa, top_k: 20}
models:
  - {name: L1H8, layers: 1, hidden: 8, heads: 2}
  - {name: L1H16, layers: 1, hidden: 16, heads: 2}
training:
  train_queries: [128]
  negatives: mined+in_batch
  learning_rate: 4.0e-3
  epochs: 2
  query_length: 12
  passage_length: 16
  output_dim: 16
variants:
  - {name: bi}
  - {name: late, ranker: {kind: late_interaction, token_dim: 8, query_fill: true, skip_punctuation: true}}
  - {name: cross, ranker: {kind: cross_encoder}, training: {negatives: mined, negatives_per_query: 2}}
evaluation: {candidates: {hard: 16}, full_retrieval: {top_k: 100, rerank: 10}}
laws: {hold_out: {models: 0, train_queries: 0}, bootstrap: 100, metrics: [rank_entropy, cross_entropy, 1-mrr]}
"""
KINDS = {"bi": "bi_encoder", "late": "late_interaction", "cross": "cross_encoder"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the study ran, of bi-encoders first and then of all three."""
    folder = clone(tmp_path_factory.mktemp("rankers"), THREE)
    alone = THREE.partition("variants:")[0] + "variants: [{name: bi}]\nevaluation" + THREE.partition("evaluation")[2]
    (folder / "alone.yaml").write_text(alone)
    run("snakemake metrics --cores 2 --configfile alone.yaml", folder)
    return folder


def test_other_kinds_beside_a_finished_one_leave_it_alone(finished):
    assert jobs(finished)["train"] == 4
    before = (finished / "results/three/models/bi/L1H8/128/42/final.safetensors").stat().st_mtime
    run("snakemake --cores 2", finished)
    assert (finished / "results/three/models/bi/L1H8/128/42/final.safetensors").stat().st_mtime == before
    assert "Nothing to be done" in run("snakemake --cores 1 -n", finished).stdout


def test_each_is_evaluated_on_the_same_and_says_what_it_searched(finished):
    study = finished / "results/three"
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    assert dict(zip(metrics.variant, metrics.ranker, strict=True)) == KINDS
    searched = {"bi": "full", "late": "full", "cross": "reranked-10"}
    assert dict(zip(metrics.variant, metrics.retrieval, strict=True)) == searched
    assert metrics.ndcg_10.notna().all()
    costs = metrics[metrics.model == "L1H16"].groupby("variant").inference_flops.first()
    assert costs["bi"] < costs["late"] < costs["cross"]
    for variant, kind in KINDS.items():
        model, _ = load_checkpoint(study / f"models/{variant}/L1H8/128/42/final.safetensors")
        assert model.kind == kind
        observed = tables.read("observations", study / f"observations/docstrings/{variant}/L1H8/128/42/final.parquet")
        assert observed.num_rows == 200
    fits = tables.read("fits", study / "fits.parquet").to_pandas()
    assert set(fits[fits.axis == "inference"].variant) == set(KINDS)
    assert (study / "figures/variants_inference.svg").stat().st_size > 1000
    assert "nDCG@10" in (study / "summary.md").read_text()


def test_what_is_reranked_is_the_same_for_all(finished):
    study = finished / "results/three"
    lists = {
        row["query_id"]: row["rows"]
        for row in tables.read("shortlists", study / "shortlists/docstrings.parquet").to_pylist()
    }
    ids = tables.read("documents", finished / "results/shared/docstrings/documents.parquet")["doc_id"].to_pylist()
    for model in ("L1H8", "L1H16"):
        run_table = tables.read("runs", study / f"runs/docstrings/cross/{model}/128/42/final.parquet").to_pandas()
        for query, rows in run_table.groupby("query_id"):
            assert set(rows.doc_id) == {ids[row] for row in lists[query]}
            assert rows.score.is_monotonic_decreasing
