"""A study of models as they are, on no training queries, from metrics to figures and summary."""

import pytest

from rankscale.laws import study_fit
from rankscale.report.figures.registry import figures_of
from rankscale.report.summary import summary
from rankscale.stages import fit, plot, subsample
from rankscale.storage import tables
from tests.unit.synthetic import write_study

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)


def run(stage, *words):
    stage.main(stage.arguments().parse_args(list(map(str, words))))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained")
    write_study(folder, SIZES, (0,), queries=200)
    tables.write("left_out", tables.SCHEMAS["left_out"].empty_table(), folder / "left_out.parquet")
    outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", folder / f"{name}.parquet")]
    chosen = ["--bootstrap", 100, "--columns", "cross_entropy", "rank_entropy", "1-mrr"]
    run(fit, "--metrics", folder / "metrics.parquet", "--study", folder, *chosen, *outputs)
    return folder


@pytest.fixture(scope="module")
def read(untrained):
    names = ("metrics", *study_fit.OUTPUTS)
    return {name: tables.read(name, untrained / f"{name}.parquet").to_pandas() for name in names}


def test_laws_over_size_and_none_over_data(read):
    fits = read["fits"]
    over_size = fits[(fits.axis == "model") & (fits.metric == "rank_entropy")]
    assert over_size.converged.any() and set(over_size.n_points) == {len(SIZES)}
    assert not fits[fits.axis.isin(["data", "tokens", "compute", "compute_proxy", "grid"])].converged.any()


def test_summary_and_figures(untrained, read, tmp_path):
    names = ("metrics", "fits", "forecasts", "ranking", "verdicts", "contrasts")
    text = summary(*(read[name] for name in names), None, [])
    assert "Models: 6; subsets: 1; seeds: 1." in text
    assert "nan" not in text.lower()
    largest = [untrained / f"observations/synthetic/base/N{size}/0/42/final.parquet" for size in SIZES]
    given = ("--metrics", untrained / "metrics.parquet", "--observations", *largest)
    run(subsample, *given, "--draws", 3, "--output", untrained / "subsamples.parquet")
    inputs = [word for name in plot.TABLES for word in (f"--{name}", untrained / f"{name}.parquet")]
    run(plot, *inputs, "--left-out", untrained / "left_out.parquet", "--output", tmp_path)
    assert {path.stem for path in tmp_path.glob("*.svg")} == set(figures_of(set()))
