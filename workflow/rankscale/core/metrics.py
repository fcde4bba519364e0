"""Every metric of a study, once: what tables hold, what laws may be fitted to it, how it is called and computed.

An entry of METRICS whose `per_query` gives one value per query is all that a metric needs which is a mean over queries:
scores and metrics have a column of it, its noise from queries is known, and laws, the ranking and the figures take it.
Imported by the schemas and by option dataclasses, so nothing heavy here: functions work on the arrays they are handed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rankscale.core.errors import StudyError

TIES = ("expected", "optimistic")
CORRECTIONS = ("jackknife", "none", "miller-madow", "grassberger")
COMPLEMENT = "1-"  # before a metric that rises as models get better: what it lacks to 1 falls as a loss does
QUANTILE = "a quantile is no mean over queries"


class TrecMeasure(NamedTuple):
    """How pytrec_eval measures a run: by grades or what is positive, cut to `cut`, and only one of `depth` or more."""

    measure: str
    graded: bool = False
    cut: int | None = None
    depth: int = 0


@dataclass(frozen=True)
class Metric:
    """A metric: a column of the scores and metrics tables, or what such a column lacks to 1.

    `per_query` makes of one checkpoint's queries (`evaluation.query_values.CheckpointQueries`) values [q] whose mean
    the metric is, up to a constant; a metric that has none says in `not_a_mean` why, and counts as free of query noise:
    the residuals of a law alone tell its noise. `value` is how the metric is computed where that is not the mean, and
    `bounds` its 95 % interval then; an interval that may be open has missing ends.
    `chance` is its value at random scores over n candidates, ties in expectation; None where it depends on the scores.
    `origin` is what laws count it from, where the column counts from another number.
    """

    name: str
    label: str
    unit: str = ""
    falls: bool = False  # lower is better
    per_query: Callable[[Any], Any] | None = None
    not_a_mean: str = ""
    value: Callable[[Any], float] | None = None
    bounds: Callable[[Any], tuple[float | None, float | None]] | None = None
    signed: bool = False  # may be negative: no power law
    source: str = "candidates"  # or "retrieval"
    has_interval: bool = False  # the tables have its 95 % interval in `{name}_low` and `{name}_high`
    chance: Callable[[int], float] | None = None
    trec: TrecMeasure | None = None
    origin: float = 0.0
    complement: bool = False  # what the column `column` lacks to 1

    def __post_init__(self) -> None:
        if (self.per_query is None) == (not self.not_a_mean):
            raise TypeError(f"metric {self.name}: has values per query, or says why not")
        if self.value is not None and self.has_interval and self.bounds is None:
            raise TypeError(f"metric {self.name}: has an interval, and no bounds to compute it")

    @property
    def column(self) -> str:
        """The column of the metrics table that it is read from."""
        return self.name.removeprefix(COMPLEMENT) if self.complement else self.name

    def of(self, values: Any) -> Any:
        """The metric of values of its column."""
        return 1 - values if self.complement else values - self.origin

    @property
    def has_ceiling(self) -> bool:
        """Whether it falls from a value at chance that is known. Quantiles have none: they take steps."""
        return self.falls and self.chance is not None and self.per_query is not None

    def ceiling(self, n_candidates: int) -> float:
        """Its value at chance as laws count it, for metrics that have such a ceiling."""
        return self.chance(n_candidates) - self.origin

    def interval(self, low: Any, high: Any) -> tuple[Any, Any]:
        """The ends of the metric's interval, from those of its column."""
        return (1 - high, 1 - low) if self.complement else (low, high)


def _part(name: str, label: str, index: int, **fields: Any) -> Metric:
    """A part of the cross-entropy: the mean of its pseudo-values, or as the chosen correction has it."""
    computed = {
        "per_query": lambda queries: queries.pseudo_values[:, index],
        "value": lambda queries: getattr(queries.decomposition, name),
        "bounds": lambda queries: queries.decomposition.interval(name),
    }
    return Metric(name, label, unit="nats", falls=True, has_interval=True, **computed, **fields)


def _plugin(part: Metric) -> Metric:
    """A part without its correction; the noise of queries moves both alike."""
    name = f"{part.name}_plugin"
    value = {"value": lambda queries: getattr(queries.decomposition, name), "has_interval": False}
    return replace(part, name=name, label=f"{part.label} (plug-in)", **value)


def _calibrated(metric: Metric, chance: Callable[[int], float] | None = None) -> Metric:
    """A part of the cross-entropy, plug-in or not, of the calibrated losses."""
    per_query, value, bounds = metric.per_query, metric.value, metric.bounds
    return replace(
        metric,
        name=f"calibrated_{metric.name}",
        label=f"Calibrated {metric.label.replace('Cross', 'cross')}",
        per_query=lambda queries: per_query(queries.calibrated),
        value=lambda queries: value(queries.calibrated),
        bounds=lambda queries: bounds(queries.calibrated),
        chance=chance,
    )


def _margin(share: int) -> Metric:
    """A quantile of the positive's score less the best candidate's."""
    return Metric(
        f"margin_{share}",
        f"margin, {share} % quantile",
        unit="score",
        not_a_mean=QUANTILE,
        value=lambda queries: queries.quantile(queries.margin, share / 100),
        signed=True,
    )


def _retrieval(name: str, label: str, trec: TrecMeasure) -> Metric:
    return Metric(name, label, per_query=lambda queries: queries.retrieval[name], source="retrieval", trec=trec)


def _harmonic(n: int) -> float:
    return math.fsum(1 / rank for rank in range(1, n + 1))


_PARTS = (
    _part("cross_entropy", "Cross-entropy", 0),
    _part("rank_entropy", "Rank-Entropy", 1, chance=lambda n: math.log(n + 1)),
    _part("rank_score_alignment", "Rank-Score-Alignment", 2),
    _part("score_uncertainty", "Score-Uncertainty", 3, signed=True),
)
PARTS = tuple(part.name for part in _PARTS)
# Rank-Entropy knows ranks alone: it is its own calibrated part.
_CALIBRATED = (
    _calibrated(_PARTS[0], chance=lambda n: math.log(n + 1)),
    *map(_calibrated, (*_PARTS[2:], *map(_plugin, _PARTS[2:]))),
)
CALIBRATED = _CALIBRATED[0].name
# `auc`: how often the positive scores above a candidate of its query, `auc_global`: of any; `accuracy_1`: how often
# above all of its own; ranks count from 1, in `mean_log_rank` too; ties are in expectation over their breaking,
# whatever rule the parts and `mrr` follow.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_PARTS,
        *map(_plugin, _PARTS[1:]),
        *_CALIBRATED,
        Metric(
            "best_inverse_temperature",
            "best inverse temperature",
            unit="per unit of score",
            not_a_mean="all queries choose it together",
            value=lambda queries: queries.scale.best,
            bounds=lambda queries: queries.scale.interval,
            has_interval=True,
        ),
        Metric(
            "mrr",
            "MRR",
            per_query=lambda queries: queries.reciprocal_ranks,
            has_interval=True,
            chance=lambda n: _harmonic(n + 1) / (n + 1),
        ),
        Metric(
            "auc",
            "AUC",
            per_query=lambda queries: 1 - (queries.above + queries.tied / 2) / queries.n_candidates,
            value=lambda queries: 1 - (queries.above + queries.tied / 2).mean() / queries.n_candidates,
            chance=lambda n: 0.5,
        ),
        Metric(
            "auc_global",
            "AUC over all queries",
            per_query=lambda queries: queries.auc_global,
            has_interval=True,
            chance=lambda n: 0.5,
        ),
        Metric(
            "accuracy_1",
            "accuracy at 1",
            per_query=lambda queries: (queries.above == 0) / (1 + queries.tied),
            chance=lambda n: 1 / (n + 1),
        ),
        Metric(
            "mean_rank",
            "mean rank",
            unit="rank from 0",
            falls=True,
            origin=1,
            per_query=lambda queries: 1 + queries.above + queries.tied / 2,
            chance=lambda n: 1 + n / 2,
        ),
        Metric(
            "mean_log_rank",
            "mean log rank",
            unit="nats",
            falls=True,
            per_query=lambda queries: queries.log_ranks,
            has_interval=True,
            chance=lambda n: math.lgamma(n + 2) / (n + 1),
        ),
        Metric(
            "median_rank",
            "median rank",
            unit="rank",
            falls=True,
            not_a_mean=QUANTILE,
            value=lambda queries: queries.quantile(1 + queries.above + queries.tied / 2, 0.5),
            chance=lambda n: 1 + n / 2,
        ),
        *map(_margin, (10, 50, 90)),
        # recip_rank knows no cut-off, so the run is cut first; for nDCG@10 the rest of it does not count either.
        _retrieval("mrr_10", "MRR@10", TrecMeasure("recip_rank", cut=10)),
        _retrieval("ndcg_10", "nDCG@10", TrecMeasure("ndcg_cut_10", graded=True, cut=10)),
        _retrieval("recall_100", "recall at 100", TrecMeasure("recall_100")),
        _retrieval("recall_1000", "recall at 1000", TrecMeasure("recall_1000", depth=1000)),
        _retrieval("map", "MAP", TrecMeasure("map")),
    )
}


def metric_named(name: str, option: str = "metric") -> Metric:
    """The metric of a name; `1-x` is what the metric x lacks to 1. Raises StudyError, naming `option`, for any other.

    Values per query of `1-x` are those of x with the sign turned: the same spread, and 1 less.
    """
    metric = METRICS.get(name.removeprefix(COMPLEMENT))
    if metric is None:
        raise StudyError(f"{option}: {name!r} is no metric of metrics.parquet, nor 1- and one")
    if not name.startswith(COMPLEMENT):
        return metric
    per_query, chance = metric.per_query, metric.chance
    return replace(
        metric,
        name=name,
        label=f"1 - {metric.label}",
        falls=not metric.falls,
        per_query=None if per_query is None else lambda queries: -per_query(queries),
        chance=None if chance is None else lambda n: 1 - chance(n),
        complement=True,
    )


def metrics_of(source: str) -> list[Metric]:
    """The metrics of one source, in the order of the tables' columns."""
    return [metric for metric in METRICS.values() if metric.source == source]
