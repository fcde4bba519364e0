"""The registry of figures: captions, digests, and a figure that somebody adds."""

import matplotlib.pyplot as plt
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.paths import PACKAGE
from rankscale.laws import study_fit
from rankscale.laws.options import OF_VARIANTS, FitOptions
from rankscale.report.figures.registry import FIGURES, Figure, figures_of
from rankscale.stages import fit, plot, subsample
from rankscale.storage import tables
from rankscale.study import code_digest
from tests.unit.synthetic import write_study

SIZES, SUBSETS = (1e4, 1e5, 1e6, 1e7), (500, 1000, 2000)


def test_every_figure_has_a_function_and_a_caption():
    for name, figure in FIGURES.items():
        assert figure.load().__doc__
        assert (PACKAGE.parent / "report" / f"{name}.rst").read_text().strip(), name


def test_the_stage_that_draws_is_made_of_every_figures_module():
    """A figure is found by name; its stage must still run again when its code changes."""
    modules = code_digest.modules("stages.plot")
    for figure in FIGURES.values():
        assert figure.function.partition(":")[0].removeprefix("rankscale.") in modules


def test_a_figure_is_drawn_where_its_tables_are():
    assert "plan" not in figures_of({"metrics", "plan"})
    assert figures_of({"plan", "plan_grid", *OF_VARIANTS}) == list(FIGURES)


def titled(study):
    """A figure of the study's name."""
    figure = plt.figure()
    figure.suptitle(study.metrics.study.iloc[0])
    return figure


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A small study with all tables that figures need but the plan."""
    folder = tmp_path_factory.mktemp("figures")
    write_study(folder, SIZES, SUBSETS, queries=200)
    tables.write("left_out", tables.SCHEMAS["left_out"].empty_table(), folder / "left_out.parquet")
    outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", folder / f"{name}.parquet")]
    chosen = ["--bootstrap", 100, "--columns", *FitOptions().columns]
    run(fit, "--metrics", folder / "metrics.parquet", "--study", folder, *chosen, *outputs)
    largest = [folder / f"observations/synthetic/base/N{int(size)}/2000/42/final.parquet" for size in SIZES]
    arguments = ("--metrics", folder / "metrics.parquet", "--observations", *largest)
    run(subsample, *arguments, "--draws", 3, "--output", folder / "subsamples.parquet")
    return folder


def run(stage, *words):
    stage.main(stage.arguments().parse_args(list(map(str, words))))


def drawn(folder, out, *figures):
    inputs = [word for name in plot.TABLES for word in (f"--{name}", folder / f"{name}.parquet")]
    options = ("--figures", *figures) if figures else ()
    run(plot, *inputs, "--left-out", folder / "left_out.parquet", "--output", out, *options)
    return sorted(path.name for path in out.iterdir())


def test_a_figure_that_is_added_by_one_entry_is_drawn_with_the_others(analysed, tmp_path, monkeypatch):
    monkeypatch.setitem(FIGURES, "titled", Figure(f"{__name__}:titled"))
    monkeypatch.setitem(FIGURES, "needy", Figure(f"{__name__}:titled", needs=("plan",)))
    names = figures_of(set())
    assert {"titled", "model_scale"} < set(names)
    assert drawn(analysed, tmp_path / "all") == sorted(f"{n}.{s}" for n in names for s in ("svg", "pdf", "png"))
    assert "synthetic" in (tmp_path / "all" / "titled.svg").read_text()
    assert drawn(analysed, tmp_path / "one", "titled") == ["titled.pdf", "titled.png", "titled.svg"]
    with pytest.raises(StudyError, match="the figure needy needs --plan"):
        drawn(analysed, tmp_path / "none", "needy")
