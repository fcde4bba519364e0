"""The fit stage on studies whose laws are known, and on tables of one's own."""

import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.metrics import metric_named, metrics_of
from rankscale.evaluation.query_values import CheckpointQueries
from rankscale.laws import holdout, study_fit
from rankscale.laws.fit_tasks import FitTask, no_change_forecast, run_fit_task
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.metric_ranking import MetricComparison, rank_metrics
from rankscale.laws.query_covariance import QueryCovariance, values_of
from rankscale.report import narrative, text_tables
from rankscale.stages import fit
from rankscale.storage import tables
from rankscale.tools import fit_table
from tests.conftest import stage
from tests.unit.synthetic import write_study

COLUMNS = ("--columns", "cross_entropy", "rank_entropy", "1-mrr")
SIZES, SUBSETS = np.geomspace(1e4, 1e7, 7), (500, 1000, 2000, 4000)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    write_study(folder, SIZES, SUBSETS, queries=400)
    return folder


def fitted(folder, out, workers, *more):
    outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", out / f"{name}.parquet")]
    inputs = ["--metrics", folder / "metrics.parquet", "--study", folder, "--bootstrap", 100, "--workers", workers]
    fit.main(fit.arguments().parse_args(list(map(str, [*inputs, *more, *outputs]))))
    return {name: tables.read(name, out / f"{name}.parquet").to_pandas() for name in study_fit.OUTPUTS}


@pytest.fixture(scope="module")
def found(synthetic, tmp_path_factory):
    return fitted(synthetic, tmp_path_factory.mktemp("by_two"), 2, *COLUMNS)


def test_any_number_of_processes_gives_the_same_tables(synthetic, found, tmp_path):
    again = fitted(synthetic, tmp_path, 1, *COLUMNS)
    for name, table in found.items():
        pd.testing.assert_frame_equal(table, again[name])
        assert len(table)


def test_every_axis_and_law_is_there_with_its_curve(found):
    fits = found["fits"]
    one_size = {"model", "model_with_head", "inference", "data", "tokens", "compute", "compute_proxy"}
    assert set(fits.axis) == {*one_size, "grid"}
    assert set(fits.law) == set(LAWS)
    assert set(fits.metric) == set(COLUMNS[1:])
    drawn = set(map(tuple, found["curves"][["metric", "axis", "fixed", "law"]].drop_duplicates().to_numpy()))
    one = fits[(fits.axis != "grid") & fits.converged]
    assert drawn == set(map(tuple, one[["metric", "axis", "fixed", "law"]].drop_duplicates().to_numpy()))


def test_forecasts_roll_forward_to_all_sizes_but_one(found):
    ahead = found["forecasts"]
    rows = ahead[(ahead.axis == "model") & (ahead.fixed == "train_queries=4000") & (ahead.metric == "rank_entropy")]
    assert sorted(rows[rows.law == "line"].known.unique()) == [3, 4, 5, 6]
    assert rows[(rows.law == "line") & (rows.known == 4)].model.nunique() == 3
    assert set(rows[rows.held_out].known) == {5}  # two of seven are held out
    both = ahead[(ahead.axis == "grid") & ahead.held_out]
    assert set(both.train_queries) == {4000}
    assert both.model.nunique() == 2
    assert set(both.known) == {5 * 3}


def test_a_known_law_is_forecast_well_and_ranked_above_no_change(found):
    ranking = found["ranking"]
    row = ranking[(ranking.axis == "model") & (ranking.metric == "rank_entropy")].iloc[0]
    assert row.error < row.no_change
    assert row.skill == pytest.approx(1 - row.error / row.no_change)
    assert row.beats_no_change > 0.5
    other = ranking[(ranking.axis == "model") & (ranking.metric == "1-mrr")].iloc[0]
    assert other.difference == pytest.approx(other.error - row.error)
    assert other.difference_low < other.difference_high
    assert row.p_no_change < 0.05
    for _, part in ranking.groupby("axis"):
        assert list(part.sort_values("position").skill.dropna()) == sorted(part.skill.dropna(), reverse=True)


def test_the_claim_is_said_with_its_uncertainty(synthetic, found):
    metrics = tables.read("metrics", synthetic / "metrics.parquet").to_pandas()
    sentences = narrative.forecast_sentences(found["ranking"], metrics)
    assert len(sentences) == 3
    number = r"[\d.]+%"
    within = rf"of {number} \[{number}, {number}\], no change of {number}"
    who = r"Rank-Entropy \(\w+\) forecasts the largest models with a mean error"
    pattern = rf"{who} {within}; cross-entropy \(\w+\) {within}"
    assert re.match(pattern, sentences[0])
    row = found["ranking"].query("axis == 'model' and metric == 'cross_entropy'").iloc[0]
    assert f"that is {'' if row.significant else 'not '}significant" in sentences[0]
    table = text_tables.ranking_table(found["ranking"], metrics)
    assert list(table.columns[:3]) == ["axis", "metric", "law"]
    assert len(table) == 9


def test_without_a_point_the_law_is_that_of_the_others(synthetic, found):
    """Leave-one-out influence against a fit that never saw the point."""
    rows = found["influence"]
    rows = rows[(rows.axis == "model") & (rows.law == "line") & (rows.metric == "rank_entropy")]
    assert len(rows) == 7
    for row in rows.itertuples():
        rest = rows[rows.model != row.model]
        slope, level = np.polyfit(np.log(rest.x), np.log(rest.observed), 1)
        assert row.alpha_without == pytest.approx(-slope, abs=1e-9)
        x = rows.x.max()
        whole = np.polyval(np.polyfit(np.log(rows.x), np.log(rows.observed), 1), np.log(x))
        assert row.largest_without == pytest.approx(np.exp(level + slope * np.log(x) - whole) - 1, abs=1e-9)


def test_noise_of_two_metrics_is_the_covariance_of_their_means_over_queries(synthetic):
    metrics = tables.read("metrics", synthetic / "metrics.parquet").to_pandas()
    rows = metrics[metrics.train_queries == 500].iloc[:2]
    noise = QueryCovariance.read(metrics, ["mean_rank", "1-auc"], synthetic, "expected")
    observations = [
        pd.read_parquet(synthetic / f"observations/synthetic/base/{m}/500/42/final.parquet") for m in rows.model
    ]
    ranks = [s.sort_values("query_id").above.to_numpy(float) for s in observations]
    covariance = np.cov(np.stack(ranks)) / 400
    assert noise.of(rows, ["mean_rank"]) == pytest.approx(covariance, rel=1e-5)
    assert noise.of(rows, ["1-auc"]) == pytest.approx(covariance / 64**2, rel=1e-5)
    assert noise.of(rows, ["mean_rank", "1-auc"])[:2, 2:] == pytest.approx(covariance / 64, rel=1e-5)


def test_every_metrics_values_have_the_metrics_mean(synthetic):
    row = tables.read("metrics", synthetic / "metrics.parquet").to_pandas().iloc[[0]]
    checkpoint = f"{row.model.iloc[0]}/{row.subset.iloc[0]}/42/final.parquet"
    observations = pd.read_parquet(synthetic / "observations/synthetic/base" / checkpoint)
    queries = CheckpointQueries.of_observations(observations, "expected")
    means = [m for m in metrics_of("candidates") if m.per_query is not None and not m.name.endswith("_plugin")]
    assert len(means) >= 8
    for metric in means:
        mean = metric.of(metric.per_query(queries).mean())
        assert mean == pytest.approx(values_of(row, metric.name)[0]), metric.name
    # What a metric lacks to 1 falls where the metric rises.
    for metric in ("mrr", "auc"):
        plain, lacking = (metric_named(name).per_query(queries) for name in (metric, f"1-{metric}"))
        assert np.array_equal(lacking, -plain)
    assert metric_named("margin_50").per_query is None


def test_a_metric_that_is_lost_in_noise_gets_no_power_law():
    x, y = np.geomspace(1e4, 1e6, 7)[:, None], np.linspace(0.02, 0.01, 7)
    where = dict.fromkeys(("metric", "split", "candidates", "axis", "fixed"), "")
    result = run_fit_task(
        FitTask(where, x, y, np.eye(7) * 0.01**2, [{}] * 7, (LAWS["line"], LAWS["trend"]), [], False, 100, 0)
    )
    notes = {row["law"]: (row["converged"], row["note"]) for row in result.fits}
    assert notes["line"] == (False, "a value cannot be told from 0: a power law needs positive values")
    assert notes["trend"][0]


def test_no_change_is_the_largest_known_nearest_to_each_point():
    x = np.array([[1.0, 1], [1, 10], [10, 1], [10, 10]])
    y = np.array([1.0, 2, 3, 4])
    assert no_change_forecast(x, y, np.array([[100.0, 1], [100, 100], [1, 100]])).tolist() == [3, 4, 2]
    twice = np.array([[1.0], [10], [10]])
    assert no_change_forecast(twice, np.array([[5.0, 1, 3], [5, 2, 4]]), np.array([[50.0]])).tolist() == [[2], [3]]


def test_a_metric_that_is_forecast_better_by_far_is_significantly_better():
    """One metric on a line with .1 % noise, one that jumps about by 20 %: the race must tell them apart."""
    random = np.random.default_rng(0)
    x = np.geomspace(1e4, 1e8, 12)[:, None]
    clean = 5 * x[:, 0] ** -0.1 * np.exp(0.001 * random.standard_normal(12))
    wild = 5 * x[:, 0] ** -0.1 * np.exp(0.2 * random.standard_normal(12))
    origin = holdout.ForecastSplit(np.arange(10), np.arange(10, 12), True)
    names = [(LAWS["line"], LAWS["trend"])] * 2
    where = {"split": "", "candidates": "", "axis": "model", "fixed": ""}
    rows = rank_metrics(
        MetricComparison(
            where, ["rank_entropy", "wild"], x, np.stack([clean, wild]), np.zeros((24, 24)), names, origin, 400, 1
        )
    )
    assert [row["metric"] for row in rows] == ["rank_entropy", "wild"]
    assert rows[1]["significant"]
    assert rows[0]["skill"] > 0.9
    assert rows[0]["error_low"] < rows[0]["error"] < rows[0]["error_high"]
    assert rows[0]["p_no_change"] < 0.01 < rows[1]["p_no_change"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["nonsense"], "'nonsense' is no metric"), (["model"], "'model' is no metric"), (["ndcg_10"], "none of them")],
)
def test_metrics_that_are_not_there_are_refused(synthetic, tmp_path, columns, message):
    with pytest.raises(StudyError, match=message):
        fitted(synthetic, tmp_path, 1, "--columns", *columns)


# Tables of one's own.


def own(path, *arguments, check=True):
    return stage("fit-table", path, "--bootstrap", 200, *arguments, check=check)


def runs(noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    rows = [(n, d) for n in np.geomspace(1e7, 1e10, 6) for d in np.geomspace(1e8, 1e11, 5)]
    x = np.array(rows)
    loss = 1.82 + 482 / x[:, 0] ** 0.348 + 2085 / x[:, 1] ** 0.366
    return pd.DataFrame({"N": x[:, 0], "D": x[:, 1], "loss": loss * np.exp(noise * random.standard_normal(len(x)))})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_of_runs_made_elsewhere_is_fitted_and_printed(tmp_path, suffix):
    path, out = tmp_path / f"runs.{suffix}", tmp_path / "fits.parquet"
    table = runs()
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    options = ("--metric", "loss", "--size", "N", "--data", "D", "--law", "additive", "--hold-out-size", 1)
    output = own(path, *options, "--output", out).stdout
    assert "y = delta + A/N^alpha + B/D^beta, loss: 30 runs, R² 1.0000" in output
    assert "held out" in output
    assert output.count("no change") == 5
    estimates = tables.read("fits", out).to_pandas().set_index("parameter").estimate
    assert estimates[["A", "alpha", "B", "beta", "delta"]].tolist() == pytest.approx(
        [482, 0.348, 2085, 0.366, 1.82], rel=1e-4
    )


def test_one_column_takes_the_laws_of_one_variable(tmp_path):
    table = runs()
    table[table.D.max() == table.D].to_csv(tmp_path / "r.csv", index=False)
    assert "y = delta + (A/x)^alpha" in own(tmp_path / "r.csv", "--metric", "loss", "--size", "N").stdout
    output = own(tmp_path / "r.csv", "--metric", "loss", "--size", "N", "--law", "line", "--hold-out-size", 2).stdout
    assert "log y = a - alpha log x" in output
    assert output.count("no change") == 2


def test_equal_seeds_print_the_same(tmp_path):
    runs(0.01).to_csv(tmp_path / "r.csv", index=False)
    options = ("--metric", "loss", "--size", "N", "--data", "D")
    first, again, other = (
        own(tmp_path / "r.csv", *options, "--seed", seed).stdout.split("fit: done")[0] for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("N,loss\n1,2\n", ("--metric", "los", "--size", "N"), "no column los; it has N, loss"),
        ("N,loss\n1,2\n", ("--metric", "loss"), "give --size, --data or both"),
        ("N,loss\n1,3\n2,2\n", ("--metric", "loss", "--size", "N", "--law", "line"), "too few points: 2 at 2"),
        ("N,loss\n5,3\n5,2\n", ("--metric", "loss", "--size", "N"), "row 2 repeats the cell of row 1"),
        ("N,loss\n1,3\n2,x\n", ("--metric", "loss", "--size", "N"), "column loss, row 2: 'x' is no finite number"),
        ("N,loss\n1,3\n2,nan\n", ("--metric", "loss", "--size", "N"), "row 2: .* is no finite number"),
        ("", ("--metric", "loss", "--size", "N"), "cannot be read as CSV"),
        ("N,loss\n", ("--metric", "loss", "--size", "N"), "holds no rows"),
        ("N,loss\n1,0\n2,1\n3,1\n", ("--metric", "loss", "--size", "N", "--law", "line"), "needs positive values"),
        ("N,loss\n-1,3\n2,1\n3,1\n", ("--metric", "loss", "--size", "N", "--law", "line"), "a size is not positive"),
        ("N,loss\n1,3\n", ("--metric", "loss", "--size", "N", "--law", "joint"), "--law joint needs both"),
        ("N,seed,loss\n5,1,3\n5,2,2\n", ("--metric", "loss", "--size", "N"), "all points are at one size"),
        ("N,loss,loss\n1,3,3\n", ("--metric", "loss", "--size", "N"), "column loss stands twice"),
        ("N,seed,loss\n1,,3\n1,,2\n", ("--metric", "loss", "--size", "N"), "column seed, row 1: is empty"),
        ("N,loss\n1,True\n2,False\n", ("--metric", "loss", "--size", "N"), "column loss holds bool, not numbers"),
        (
            "N,loss\n1,2\n2,2\n4,2\n8,2\n16,2\n32,2\n",
            ("--metric", "loss", "--size", "N"),
            "flat: all values are the same",
        ),
        (
            "N,loss\n1,1\n2,2\n4,3\n8,4\n16,5\n32,6\n",
            ("--metric", "loss", "--size", "N"),
            "the metric rises with size",
        ),
        (
            "N,loss\n1,4\n2,3\n4,2\n",
            ("--metric", "loss", "--size", "N", "--law", "line", "--hold-out-size", "2"),
            "too little would be left",
        ),
    ],
)
def test_a_table_that_cannot_be_fitted_is_refused_in_one_line(tmp_path, text, arguments, message):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(StudyError, match=message):
        fit_table.main(fit_table.arguments().parse_args([str(path), *arguments]))


def test_a_table_in_another_encoding_or_truncated_is_refused(tmp_path):
    (tmp_path / "r.csv").write_bytes("N,löss\n1,2\n".encode("latin-1"))
    runs().to_parquet(tmp_path / "r.parquet")
    cut = (tmp_path / "r.parquet").read_bytes()[:-20]
    (tmp_path / "r.parquet").write_bytes(cut)
    for name in ("r.csv", "r.parquet", "missing.csv"):
        with pytest.raises(StudyError, match=name):
            fit_table.main(fit_table.arguments().parse_args([str(tmp_path / name), "--metric", "loss", "--size", "N"]))


@pytest.mark.parametrize(
    "option", [("--bootstrap", "0"), ("--hold-out-size", "-1"), ("--seed", "-1"), ("--hold-out-data", "x")]
)
def test_numbers_that_cannot_be_are_refused(option):
    with pytest.raises(StudyError, match=f"{option[1]}: takes a whole number"):
        fit_table.arguments().parse_args(["x.csv", "--metric", "loss", *option])


def test_what_the_points_do_not_tell_is_noted(tmp_path):
    table = runs(0.01)
    table.loc[3, "loss"] *= 10
    table.to_csv(tmp_path / "r.csv", index=False)
    output = own(tmp_path / "r.csv", "--metric", "loss", "--size", "N", "--data", "D", "--law", "additive").stdout
    assert re.search(r"Note: .*a point lies \d+ times as far off as the middle one; intervals count it", output)


def test_a_long_table_is_fitted_in_seconds(tmp_path):
    random = np.random.default_rng(0)
    n = np.exp(random.uniform(10, 20, 10_000))
    y = 5 * n**-0.1 * np.exp(0.01 * random.standard_normal(10_000))
    pd.DataFrame({"N": n, "loss": y}).to_csv(tmp_path / "r.csv", index=False)
    start = time.monotonic()
    output = own(tmp_path / "r.csv", "--metric", "loss", "--size", "N", "--law", "line").stdout
    assert "10000 runs" in output
    assert time.monotonic() - start < 60  # no matrix of runs by runs


def test_per_query_values_of_other_queries_are_refused(synthetic, tmp_path):
    folder = shutil.copytree(synthetic, tmp_path / "copy")
    metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas().iloc[:2].assign(ndcg_10=0.5)
    for row in metrics.itertuples():
        keys = {"collection": "synthetic", "variant": "base", "model": row.model, "train_queries": row.train_queries}
        keys |= {"seed": 42, "step": 100, "split": "test"}
        measured = dict.fromkeys(("mrr_10", "ndcg_10", "recall_100", "recall_1000", "map"), 0.5)
        path = folder / "per_query/synthetic/base" / row.model / row.subset / "42/final.parquet"
        ids = [f"other{i}" for i in range(400)]
        tables.write("per_query", {**keys, "query_id": ids, **measured}, path)
    with pytest.raises(StudyError, match=r"per_query.*lacks query q00000"):
        QueryCovariance.read(metrics, ["1-ndcg_10"], folder, "expected")


def test_a_rising_metric_is_said_to_rise(tmp_path):
    (tmp_path / "r.csv").write_text("N,mrr\n1,.1\n2,.2\n4,.3\n8,.35\n")
    output = own(tmp_path / "r.csv", "--metric", "mrr", "--size", "N", "--law", "line").stdout
    assert "Note: the metric rises with size." in output
