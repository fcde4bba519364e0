"""A metric and a law that somebody adds are one entry each, and go all the way from scores to figures."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rankscale.laws import bootstrap, fitting, study_fit
from rankscale.laws.fit_tasks import STREAM, FitTask, run_fit_task, stream
from rankscale.laws.forms import registry
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.line import LINE
from rankscale.laws.holdout import ForecastSplit
from rankscale.laws.metric_ranking import MetricComparison, rank_metrics
from rankscale.laws.options import FitOptions
from rankscale.report.figures import other_metrics, style
from rankscale.storage import tables
from tests.conftest import ROOT
from tests.unit.synthetic import write_study

SIZES, SUBSETS = np.geomspace(1e4, 1e7, 6), (500, 1000, 2000)
# Runs in a process of its own: schemas are made from the registry when they are imported.
ADD_METRIC = """
import json, sys
from pathlib import Path
from rankscale.core.metric import Metric
from rankscale.core.metrics import METRICS

METRICS["hits_3"] = Metric(
    "hits_3", "hits at 3", per_query=lambda queries: (queries.above + queries.tied < 3) * 1.0, has_interval=True
)
if __name__ == "__main__":
    from rankscale.laws.query_covariance import QueryCovariance
    from rankscale.report.figures.other_metrics import other_metrics
    from rankscale.report.figures.style import StudyTables
    from rankscale.stages import fit, gather, score
    from rankscale.storage import tables
    from tests.unit.laws.test_new_entries import SIZES, SUBSETS
    from tests.unit.synthetic import checkpoint_of, texts_of, write_study

    folder = Path(sys.argv[1])

    def call(stage, *words):
        stage.main(stage.arguments().parse_args(list(map(str, words))))

    write_study(folder, SIZES, SUBSETS, queries=300)
    for path in sorted((folder / "observations").rglob("*.parquet")):
        call(score, "--observations", path, "--output", folder / "scores" / path.relative_to(folder / "observations"))
    runs = []
    for size in SIZES:
        for data in SUBSETS:
            runs.append(folder / f"models/N{int(size)}/{data}/42/checkpoints.parquet")
            tables.write("checkpoints", checkpoint_of(size, data, 42), runs[-1])
    told = ("--study", folder, "--study-name", "s", "--collections", "synthetic")
    outputs = ("--output", folder / "metrics.parquet", "--left-out", folder / "left_out.parquet")
    told += tuple(texts_of(folder, [f"N{int(size)}" for size in SIZES]))
    call(gather, *told, "--runs", *runs, *outputs)
    fitted = ("fits", "forecasts", "curves", "influence", "ranking", "verdicts", "contrasts")
    outputs = [word for name in fitted for word in (f"--{name}", folder / f"{name}.parquet")]
    chosen = ["--columns", "rank_entropy", "hits_3", "1-hits_3", "--bootstrap", 100]
    call(fit, "--metrics", folder / "metrics.parquet", "--study", folder, *chosen, *outputs)
    shown = ("metrics", "fits", "forecasts", "curves", "verdicts")
    read = {n: tables.read(n, folder / f"{n}.parquet").to_pandas() for n in shown}
    noise = QueryCovariance.read(read["metrics"].iloc[:2], ["1-hits_3"], folder, "expected").matrix
    study = StudyTables(**read, subsamples=read["fits"], influence=read["fits"])
    titles = [ax.get_title() for ax in other_metrics(study).axes]
    (folder / "result.json").write_text(json.dumps({"noise": noise.tolist(), "titles": titles}))
"""


def test_a_new_metric_is_one_entry_from_scores_to_figures(tmp_path):
    program = tmp_path / "add_metric.py"
    program.write_text(ADD_METRIC)
    path = os.pathsep.join(map(str, (ROOT / "workflow", ROOT)))
    done = subprocess.run(
        [sys.executable, program, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    first = metrics.iloc[0]
    observed = pd.read_parquet(tmp_path / f"observations/synthetic/base/{first.model}/{first.subset}/42/final.parquet")
    hits = (observed.above < 3).to_numpy(float)
    assert first.hits_3 == pytest.approx(hits.mean())
    assert first.hits_3_high - first.hits_3 == pytest.approx(1.96 * hits.std(ddof=1) / np.sqrt(300), rel=1e-3)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["noise"][0][0] == pytest.approx(hits.var(ddof=1) / 300, rel=1e-5)
    for name in ("fits", "forecasts", "curves", "ranking"):
        assert {"hits_3", "1-hits_3"} <= set(pd.read_parquet(tmp_path / f"{name}.parquet").metric), name
    fits = pd.read_parquet(tmp_path / "fits.parquet")
    assert fits[(fits.metric == "1-hits_3") & (fits.law == "line") & (fits.axis == "model")].converged.all()
    assert result["titles"].count("hits at 3") == result["titles"].count("1 - hits at 3") == 2


def _curve(theta, u):
    value = np.exp(theta[:, :1] + theta[:, 1:2] * u[:, 0] + theta[:, 2:] * u[:, 0] ** 2)
    return value, np.stack([value, value * u[:, 0], value * u[:, 0] ** 2], -1)


def _design(u):
    return np.column_stack([np.ones(len(u)), u[:, 0], u[:, 0] ** 2])


CURVED = Law(
    name="curved",
    formula="log y = a + b log x + c (log x)^2",
    variables=1,
    parameters=("a", "b", "c"),
    curve=_curve,
    slope="b",
    design=_design,
    colour="#123456",
    line_style=":",
)


def test_a_new_law_is_one_entry_with_intervals_forecasts_and_a_curve(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.LAWS, "curved", CURVED)
    write_study(tmp_path, SIZES, SUBSETS, queries=300)
    metrics = tables.read("metrics", tmp_path / "metrics.parquet").to_pandas()
    options = FitOptions(bootstrap=100, columns=["rank_entropy", "1-mrr"], hold_out_models=1)
    results = {name: pd.DataFrame(rows) for name, rows in study_fit.fit_all(metrics, tmp_path, options).items()}
    fits = results["fits"]
    rows = fits[(fits.law == "curved") & (fits.axis == "model") & (fits.fixed == "train_queries=2000")]
    rows = rows[rows.metric == "1-mrr"].set_index("parameter")
    assert list(rows.index) == ["a", "b", "c"]
    assert ((rows.low < rows.estimate) & (rows.estimate < rows.high)).all()
    finals = metrics[metrics.train_queries == 2000]
    peer = np.polyfit(np.log(finals.encoder_parameters), np.log(1 - finals.mrr), 2)
    assert rows.estimate.to_numpy(float) == pytest.approx(peer[::-1])
    ahead = results["forecasts"]
    ahead = ahead[(ahead.law == "curved") & ahead.held_out & (ahead.axis == "model") & (ahead.metric == "1-mrr")]
    assert (ahead.low < ahead.predicted).all()
    assert len(ahead)
    study = style.StudyTables(metrics, fits, results["forecasts"], results["curves"], *[results["influence"]] * 3)
    figure = other_metrics.other_metrics(study)
    assert [line for line in figure.axes[0].lines if line.get_color() == "#123456" and line.get_linestyle() == ":"]
    assert "curved, 95 % band" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_law_may_be_sought_without_a_floor():
    """The line again, but by the robust search: on points that lie on it the two agree, draws too."""

    def starts(u, target, shares):
        slope, level = np.polyfit(u[:, 0], target.T, 1)
        return [np.column_stack([level + 0.1, 0.9 * -slope])]

    def recentre(theta, centre):
        return np.column_stack([theta[:, 0] + theta[:, 1] * centre[0], theta[:, 1]])

    sought = replace(LINE, name="sought", design=None, starts=starts, recentre=recentre)
    x = np.geomspace(1e4, 1e7, 9)
    y = 3 * x**-0.2
    fit = fitting.fit(sought, x, y)
    assert fit.converged
    assert fit.named() == pytest.approx(fitting.fit(LINE, x, y).named(), rel=1e-6)
    noisy = fitting.fit(sought, x, y * np.exp(0.01 * np.random.default_rng(0).standard_normal(9)))
    _, low, high = bootstrap.parameters(noisy, bootstrap.simulate(noisy, None, 200, np.random.default_rng(1)))["alpha"]
    assert low < 0.2 < high
    assert high - low < 0.02


def test_draws_are_keyed_by_names_whatever_the_order_of_the_columns():
    x = np.geomspace(1e4, 1e7, 7)[:, None]
    y = 3 * x[:, 0] ** -0.1 * np.exp(0.01 * np.random.default_rng(0).standard_normal(7))
    names = {"metric": "rank_entropy", "split": "test", "candidates": "hard", "axis": "model", "fixed": "all cells"}
    split = ForecastSplit(np.arange(5), np.arange(5, 7), True)
    runs = [{"model": "m", "train_queries": 1, "seed": i} for i in range(7)]
    tasks, comparisons = [], []
    for key in (names, dict(reversed(names.items()))):
        result = run_fit_task(FitTask(key, x, y, np.eye(7) * 1e-4, runs, (LINE,), [split], True, 100, 7))
        tasks.append([sorted(row.items(), key=str) for rows in result for row in rows])
        rest = {name: value for name, value in key.items() if name != "metric"}
        compared = MetricComparison(rest, ["rank_entropy"], x, y[None], np.eye(7) * 1e-4, [(LINE,)], split, 100, 7)
        comparisons.append([sorted(row.items(), key=str) for row in rank_metrics(compared)])
    assert tasks[0] == tasks[1]
    assert comparisons[0] == comparisons[1]


def test_the_keys_of_published_draws_stay():
    """Of version 0.1.0: the first draw behind one fit, one forecast and one ranking."""
    from rankscale.core.seeding import generator

    key = dict(zip(STREAM, ("rank_entropy", "test", "hard", "model", "all cells", "line"), strict=True))
    fit = generator(7, "rank_entropy", "test", "hard", "model", "all cells", "line")
    assert stream(7, "", key).random() == fit.random()
    forecast = generator(7, "forecast", "rank_entropy", "test", "hard", "model", "all cells", "line", 5)
    assert stream(7, "forecast", key, 5).random() == forecast.random()
    rest = {name: key[name] for name in ("split", "candidates", "axis", "fixed")}
    assert stream(7, "ranking", rest).random() == generator(7, "ranking", "test", "hard", "model", "all cells").random()
    assert stream(7, "plan", {"metric": "1-mrr"}).random() == generator(7, "plan", "1-mrr").random()
