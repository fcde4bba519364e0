"""A plus-shaped study, searched with on its largest subset alone, from metrics to figures and summary."""

import numpy as np
import pytest

from rankscale.laws import study_fit
from rankscale.report.figures.registry import figures_of
from rankscale.report.study_comparison import common_slices, read_study
from rankscale.report.summary import summary
from rankscale.stages import fit, plot, subsample
from rankscale.storage import tables
from tests.unit.synthetic import write_study

SIZES, SUBSETS = tuple(map(int, np.geomspace(1e4, 1e7, 6))), (500, 1000, 2000, 4000)
MIDDLE = SIZES[3]
PLUS = {*((size, 4000) for size in SIZES), *((MIDDLE, data) for data in SUBSETS)}
PLUS |= {(size, data) for size in (SIZES[0], SIZES[-1]) for data in (500, 2000)}
COLUMNS = ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "1-mrr", "1-ndcg_10")


def run(stage, *words):
    stage.main(stage.arguments().parse_args(list(map(str, words))))


@pytest.fixture(scope="module")
def plus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plus")
    write_study(folder, SIZES, SUBSETS, queries=200, cells=PLUS, searching=(4000,))
    tables.write("left_out", tables.SCHEMAS["left_out"].empty_table(), folder / "left_out.parquet")
    outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", folder / f"{name}.parquet")]
    chosen = ["--bootstrap", 100, "--columns", *COLUMNS]
    run(fit, "--metrics", folder / "metrics.parquet", "--study", folder, *chosen, *outputs)
    return folder


@pytest.fixture(scope="module")
def read(plus):
    names = ("metrics", *study_fit.OUTPUTS)
    return {name: tables.read(name, plus / f"{name}.parquet").to_pandas() for name in names}


def test_all_cells_are_fitted_and_the_corner_is_forecast_from_the_others(read):
    fits, ahead = read["fits"], read["forecasts"]
    grid = fits[(fits.axis == "grid") & (fits.metric == "rank_entropy")]
    assert set(grid.n_points) == {len(PLUS)}
    held_out = ahead[(ahead.axis == "grid") & ahead.held_out & (ahead.metric == "cross_entropy")]
    assert set(zip(held_out.model, held_out.train_queries, strict=True)) == {(f"N{n}", 4000) for n in SIZES[-2:]}
    assert set(held_out.known) == {len(PLUS) - 2}
    assert "additive" in set(held_out.law) or "joint" in set(held_out.law)


def test_a_measure_of_retrieval_is_fitted_where_it_was_measured(read):
    of = {metric: set(part.axis) for metric, part in read["fits"].groupby("metric")}
    assert of["1-ndcg_10"] == {"model", "model_with_head", "inference"}
    assert of["1-mrr"] > {"model", "data", "grid", "compute"}
    fitted = read["fits"][read["fits"].metric == "1-ndcg_10"]
    assert set(fitted.fixed) == {"train_queries=4000"}
    assert fitted.converged.any()
    ranked = read["ranking"].groupby("axis").metric.agg(set)
    assert "1-ndcg_10" in ranked["model"]
    assert "1-ndcg_10" not in ranked["data"] | ranked["grid"]


def test_the_summary_speaks_of_the_slices_with_the_most_cells(read):
    names = ("metrics", "fits", "forecasts", "ranking", "verdicts", "contrasts")
    text = summary(*(read[name] for name in names), None, [])
    assert f"Models: 6; subsets: 4 (cells: {len(PLUS)}); seeds: 1." in text
    assert "## On the largest subset (4,000 training queries)" in text
    assert f"Over training queries (of N{MIDDLE}; 3 cells known, one held out, one seed)" in text
    assert "the largest cells of the grid from the others" in text
    assert "nan" not in text.lower()


def test_every_figure_is_drawn(plus, tmp_path):
    largest = [plus / f"observations/synthetic/base/N{size}/4000/42/final.parquet" for size in SIZES]
    arguments = ("--metrics", plus / "metrics.parquet", "--observations", *largest)
    run(subsample, *arguments, "--draws", 3, "--output", plus / "subsamples.parquet")
    inputs = [word for name in plot.TABLES for word in (f"--{name}", plus / f"{name}.parquet")]
    run(plot, *inputs, "--left-out", plus / "left_out.parquet", "--output", tmp_path)
    assert {path.stem for path in tmp_path.glob("*.svg")} == set(figures_of(set()))
    text = (tmp_path / "other_metrics.svg").read_text()
    assert "not measured of" in text
    assert f"laws of N{MIDDLE}" in (tmp_path / "data_scale.svg").read_text()
    assert "Spearman nan" not in (tmp_path / "metric_vs_mrr.svg").read_text()


def test_two_studies_are_compared_on_the_slices_that_both_have_most_of(plus):
    one = read_study(plus)
    slices, warning = common_slices(one, one)
    assert slices[0] == slices[1] == {"model": "train_queries=4000", "data": f"model=N{MIDDLE}"}
    assert warning == ""
