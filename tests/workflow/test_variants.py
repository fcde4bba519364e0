"""A small study of two variants as it really runs, and what a further variant costs."""

import hashlib
import json

import pytest
import yaml

from rankscale.report.figures.registry import figures_of
from rankscale.storage import tables
from tests.conftest import SMALL, clone, run
from tests.workflow.test_reruns import jobs

# As the small study, and smaller.
STUDY = yaml.safe_load(SMALL)
STUDY["study"], STUDY["plan"] = "two", None
STUDY["collection"] |= {"sample": 1500, "test_queries": 200, "dev_queries": 50}
STUDY["training"] |= {"train_queries": [128, 256, 512], "snapshots": {}}
STUDY["evaluation"] = {"candidates": {"hard": 16}, "full_retrieval": False}
STUDY["laws"]["metrics"] = ["rank_entropy", "cross_entropy", "1-mrr"]
PLAIN = {"name": "plain"}
# By the first one's largest run, which the study trains before.
TEACHER = "results/two/models/plain/L1H32/512/42/final.safetensors"
TAUGHT = {
    "name": "taught",
    "training": {"negatives": "mined", "objective": {"name": "kl"}, "teacher": {"scores": TEACHER}},
}


def study_of(*ways):
    return yaml.safe_dump(STUDY | {"variants": ways}, sort_keys=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the study ran."""
    folder = clone(tmp_path_factory.mktemp("variants"), study_of(PLAIN, TAUGHT))
    run("snakemake --cores 2", folder)
    return folder


def test_both_are_in_every_table_and_compared_once(finished):
    study = finished / "results/two"
    for name in ("metrics", "fits", "curves", "forecasts", "verdicts"):
        assert set(tables.read(name, study / f"{name}.parquet")["variant"].to_pylist()) == {"plain", "taught"}, name
    multipliers = tables.read("multipliers", study / "multipliers.parquet").to_pandas()
    assert set(multipliers.variant) == {"taught"}
    assert set(multipliers["first"]) == {"plain"}
    assert set(multipliers.kind) == {"compute", "data", "parameters"}
    exponents = tables.read("exponents", study / "exponents.parquet").to_pandas()
    assert set(exponents.variant) >= {"plain"}
    # This study is so small that a way may learn too little for a law: then its multipliers are empty and say why.
    without_law = multipliers[~multipliers.variant.isin(exponents.variant)]
    assert without_law.multiplier.isna().all()
    assert without_law.note.str.contains("cannot be told from these points").all()


def test_their_runs_have_the_same_cells_queries_and_starts(finished):
    study = finished / "results/two"
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    cells = [
        set(map(tuple, rows[["model", "train_queries", "seed"]].to_numpy())) for _, rows in metrics.groupby("variant")
    ]
    assert cells[0] == cells[1]
    assert len(cells[0]) == 9
    of_run = "observations/docstrings/{}/L1H8/128/42/final.parquet"
    query_ids = [tables.read("observations", study / of_run.format(name))["query_id"] for name in ("plain", "taught")]
    assert query_ids[0].equals(query_ids[1])


def test_the_report_says_what_the_second_is_worth(finished):
    study = finished / "results/two"
    text = (study / "summary.md").read_text()
    assert "## Which way to train scales best" in text
    assert "What another way is worth over plain" in text
    assert "nan" not in text.lower()
    assert {path.stem for path in study.glob("figures/*.svg")} == set(figures_of({"multipliers", "exponents"}))
    assert (study / "tables/multipliers.html").exists()
    recorded = json.loads((study / "provenance.json").read_text())
    assert [way["name"] for way in recorded["config"]["variants"]] == ["plain", "taught"]
    (teacher,) = recorded["teachers"].values()
    assert teacher["teacher_sha256"] == hashlib.sha256((finished / TEACHER).read_bytes()).hexdigest()


def test_a_teacher_s_training_and_the_queries_it_scored_are_counted(finished):
    study = finished / "results/two"
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    by_way = {name: rows.set_index(["model", "train_queries"]) for name, rows in metrics.groupby("variant")}
    assert (by_way["plain"].teacher_flops == 0).all()
    (manifest,) = (finished / "results/shared/docstrings/lsa/teachers").glob("*.json")
    spent = json.loads(manifest.read_text())
    assert spent["training_flops"] == by_way["plain"].train_flops[("L1H32", 512)]
    for (_, queries), flops in by_way["taught"].teacher_flops.items():
        assert flops == pytest.approx(spent["training_flops"] + spent["flops"] * queries / spent["queries"])
    compute = tables.read("multipliers", study / "multipliers.parquet").to_pandas().query("kind == 'compute'")
    known = compute[compute.multiplier.notna()]
    assert (known.with_teacher < known.multiplier).all()
    assert (compute.teacher_flops.dropna() > 0).all()


def test_nothing_runs_again_and_a_third_variant_trains_alone(finished):
    assert jobs(finished) == {}
    slow = {"name": "slow", "training": {"epochs": 3}}
    (finished / "config.yaml").write_text(study_of(PLAIN, TAUGHT, slow))
    new = {"train": 9, "retrieve": 9, "score": 9, "gather": 1, "subsample": 1}
    assert jobs(finished) == {**new, "fit": 1, "plot": 1, "summarize": 1, "page": 1, "all": 1}
    output = run("rankscale quote", finished).stdout
    assert "train" in output
    # One alone: what compares them is gone, and nothing is trained.
    (finished / "config.yaml").write_text(study_of(PLAIN))
    assert set(jobs(finished)) <= {"gather", "subsample", "fit", "plot", "summarize", "page", "all"}
