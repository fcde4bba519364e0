"""A small study of two variants as it really runs, and what a further variant costs."""

import json

import pytest

from rankscale.report.figures.registry import figures_of
from rankscale.storage import tables
from tests.conftest import clone, run
from tests.workflow.test_reruns import jobs

TWO = """
study: two
collection: {name: docstrings, source: docstrings, sample: 1500, test_queries: 200, dev_queries: 50}
tokenizer: {name: wordpiece, vocabulary: 1000}
miner: {name: lsa, top_k: 20}
models:
  - {name: L1H8, layers: 1, hidden: 8, heads: 2}
  - {name: L1H16, layers: 1, hidden: 16, heads: 2}
  - {name: L1H32, layers: 1, hidden: 32, heads: 2}
training:
  train_queries: [128, 256, 512]
  negatives: mined+in_batch
  learning_rate: 4.0e-3
  epochs: 2
  query_length: 12
  passage_length: 16
  output_dim: 16
variants: [{name: plain}, {name: alone, training: {negatives: mined}}]
evaluation: {candidates: {hard: 16}, full_retrieval: false}
laws: {hold_out: {models: 1, train_queries: 1}, bootstrap: 100, metrics: [rank_entropy, cross_entropy, 1-mrr]}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the study ran."""
    folder = clone(tmp_path_factory.mktemp("variants"), TWO)
    run("snakemake --cores 2", folder)
    return folder


def test_both_are_in_every_table_and_compared_once(finished):
    study = finished / "results/two"
    for name in ("metrics", "fits", "curves", "forecasts", "verdicts"):
        assert set(tables.read(name, study / f"{name}.parquet")["variant"].to_pylist()) == {"plain", "alone"}, name
    multipliers = tables.read("multipliers", study / "multipliers.parquet").to_pandas()
    assert set(multipliers.variant) == {"alone"}
    assert set(multipliers["first"]) == {"plain"}
    assert set(multipliers.kind) == {"compute", "data", "parameters"}
    exponents = tables.read("exponents", study / "exponents.parquet").to_pandas()
    assert set(exponents.variant) == {"plain", "alone"}


def test_their_runs_have_the_same_cells_queries_and_starts(finished):
    study = finished / "results/two"
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    cells = [
        set(map(tuple, rows[["model", "train_queries", "seed"]].to_numpy())) for _, rows in metrics.groupby("variant")
    ]
    assert cells[0] == cells[1]
    assert len(cells[0]) == 9
    of_run = "observations/docstrings/{}/L1H8/128/42/final.parquet"
    asked = [tables.read("observations", study / of_run.format(name))["query_id"] for name in ("plain", "alone")]
    assert asked[0].equals(asked[1])


def test_the_report_says_what_the_second_is_worth(finished):
    study = finished / "results/two"
    text = (study / "summary.md").read_text()
    assert "## Which way to train scales best" in text
    assert "What another way is worth over plain" in text
    assert "nan" not in text.lower()
    assert {path.stem for path in study.glob("figures/*.svg")} == set(figures_of({"multipliers", "exponents"}))
    assert (study / "tables/multipliers.html").exists()
    recorded = json.loads((study / "provenance.json").read_text())["config"]["variants"]
    assert recorded == [{"name": "plain", "training": {}}, {"name": "alone", "training": {"negatives": "mined"}}]


def test_nothing_runs_again_and_a_third_variant_trains_alone(finished):
    assert jobs(finished) == {}
    more = TWO.replace("{name: plain},", "{name: plain}, {name: slow, training: {epochs: 3}},")
    (finished / "config.yaml").write_text(more)
    new = {"train": 9, "retrieve": 9, "score": 9, "gather": 1, "subsample": 1}
    assert jobs(finished) == {**new, "fit": 1, "plot": 1, "summarize": 1, "all": 1}
    said = run("rankscale quote", finished).stdout
    assert "train" in said
    # One alone: what compares them is gone, and nothing is trained.
    (finished / "config.yaml").write_text(TWO.replace(", {name: alone, training: {negatives: mined}}", ""))
    assert set(jobs(finished)) <= {"gather", "subsample", "fit", "plot", "summarize", "all"}
