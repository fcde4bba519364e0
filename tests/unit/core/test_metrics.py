"""The registry of metrics: what one entry says holds for the metric as it is computed."""

import subprocess
import sys

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.metric import Metric
from rankscale.core.metrics import METRICS, metric_named, metrics_of
from rankscale.evaluation.calibration import calibrate
from rankscale.evaluation.query_values import CheckpointQueries, ScoreScale
from rankscale.evaluation.rank_statistics import auc_global_values
from rankscale.evaluation.scoring import metric_values
from rankscale.storage.schemas import SCHEMAS

CANDIDATES = 20


def test_every_metric_is_a_column_and_its_interval_two():
    for table in ("scores", "metrics"):
        names = set(SCHEMAS[table].names)
        for metric in METRICS.values():
            bounds = {f"{metric.name}_low", f"{metric.name}_high"}
            assert metric.name in names
            assert bounds <= names if metric.has_interval else not bounds & names


@pytest.mark.parametrize("name", ["nonsense", "1-nonsense", "model", "1-1-mrr", ""])
def test_an_unknown_metric_is_refused(name):
    with pytest.raises(StudyError, match=f"laws.metrics: '{name}' is no metric of metrics.parquet"):
        metric_named(name, "laws.metrics")


def test_a_metric_says_why_it_has_no_values_per_query():
    with pytest.raises(TypeError, match="says why not"):
        Metric("best", "best")
    with pytest.raises(TypeError, match="no bounds to compute it"):
        Metric("best", "best", not_a_mean="chosen", value=max, has_interval=True)
    assert all(metric.not_a_mean for metric in METRICS.values() if metric.per_query is None)


def test_what_a_metric_lacks_to_1_turns_it_around():
    lacking, plain = metric_named("1-mrr"), metric_named("mrr")
    assert (lacking.label, lacking.column, lacking.falls, plain.falls) == ("1 - MRR", "mrr", True, False)
    assert lacking.of(np.array([0.2, 1.0])).tolist() == [0.8, 0.0]
    assert lacking.interval(0.1, 0.3) == (0.7, 0.9)
    assert lacking.chance(3) == pytest.approx(1 - (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_chance_is_what_random_scores_give():
    """Scores that are noise, of 200,000 queries."""
    scores = np.random.default_rng(0).normal(size=(200_000, CANDIDATES + 1))
    above, calibration = (scores[:, 1:] > scores[:, :1]).sum(1), calibrate(scores)
    columns = np.ones(len(above)), above, 0 * above, 0.0 * above, calibration.loss, auc_global_values(scores)
    scale = ScoreScale(calibration.best_inverse_temperature, calibration.low, calibration.high, calibration.at_cap)
    queries = CheckpointQueries(*columns, scale=scale, n_candidates=CANDIDATES)
    metrics = [metric for metric in metrics_of("candidates") if metric.chance]
    assert {"rank_entropy", "calibrated_cross_entropy", "mrr", "auc", "auc_global", "mean_rank", "mean_log_rank"} <= {
        metric.name for metric in metrics
    }
    assert scale.uncertain
    for metric in metrics:
        assert metric_values(metric, queries)[metric.name] == pytest.approx(metric.chance(CANDIDATES), rel=0.02)


def test_the_registry_imports_nothing_heavy():
    program = (
        "import sys, rankscale.core.metrics, rankscale.laws.options, rankscale.report.options, "
        "rankscale.evaluation.score_options\n"
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
