"""The finished study in docs/example: its tables are this version's, and what the README does with them runs."""

import json
import shutil

import pytest

from rankscale.storage import tables
from tests.conftest import ROOT, run

FOLDER = ROOT / "docs/example"
NAMES = sorted(path.stem for path in FOLDER.glob("*.parquet"))


def cells():
    return json.loads((FOLDER / "example.ipynb").read_text())["cells"]


def test_its_tables_are_those_of_this_version():
    read = tables.read_study({name: FOLDER / f"{name}.parquet" for name in NAMES})
    assert {"metrics", "fits", "forecasts", "verdicts", "contrasts", "curves", "plan"} <= set(read)
    metrics = read["metrics"].to_pandas()
    parts = metrics[["rank_entropy", "rank_score_alignment", "score_uncertainty"]].sum(axis=1)
    assert (parts - metrics.cross_entropy).abs().max() < 1e-9
    assert metrics.query("checkpoint == 'final'").groupby(["model", "train_queries", "seed"]).ngroups == 40
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1 << 20


def test_the_notebook_runs_as_it_stands(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "example")
    code = ["import matplotlib", "matplotlib.use('Agg')"]
    code += ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]
    (tmp_path / "cells.py").write_text("\n\n".join(code))
    run(["python", tmp_path / "cells.py"], tmp_path / "example")


def test_the_notebook_shows_what_its_cells_gave():
    for cell in cells():
        if cell["cell_type"] == "code":
            assert cell["execution_count"], "run it and save it: jupyter execute --inplace docs/example/example.ipynb"
            assert not [output for output in cell["outputs"] if output["output_type"] == "error"]


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_report_has_every_figure(form, report):
    drawn = {path.stem for path in report.glob(f"figures/*.{form}")}
    assert {"model_scale", "data_scale", "compute_scale", "forecast", "plan", "training", "queries"} <= drawn


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    run(["rankscale", "report", FOLDER, "--output", folder], folder)
    return folder


def test_the_report_says_what_the_headline_says(report, tmp_path):
    summary = (report / "summary.md").read_text()
    said = run(["rankscale", "headline", FOLDER], tmp_path).stdout
    answer = next(line for line in said.splitlines() if line.startswith("Over model size"))
    assert f"- {answer}" in summary
    assert (report / "tables/verdicts.html").read_text().startswith("<!doctype html>")
    done = run(["rankscale", "report", FOLDER, "--output", FOLDER], tmp_path, check=False)
    assert "is the study's own folder" in done.stdout


def test_laws_are_fitted_to_chosen_rows_of_its_metrics(tmp_path):
    fit = ["rankscale", "fit-table", FOLDER / "metrics.parquet", "--metric", "rank_entropy", "--bootstrap", "100"]
    fit += ["--size", "encoder_parameters", "--where", "train_queries=8000", "--law", "line"]
    assert "16 runs" in run([*fit, "--where", "checkpoint=final"], tmp_path).stdout
    for where, said in (
        ("checkpoint=none", "no row has that"),
        ("kind=final", "takes COLUMN=VALUE"),
        ("checkpoint", "takes COLUMN=VALUE"),
    ):
        done = run([*fit, "--where", where], tmp_path, check=False)
        assert done.returncode == 1
        assert said in done.stdout
