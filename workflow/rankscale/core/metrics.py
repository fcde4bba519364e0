"""Every metric of a study, once: what tables hold, what laws may be fitted to it, how it is called and computed.

An entry of METRICS whose `per_query` gives one value per query is all that a metric needs which is a mean over queries:
scores and metrics have a column of it, its noise from queries is known, and laws, the ranking and the figures take it.
Imported by the schemas and by option dataclasses, so nothing heavy here: functions work on the arrays they are handed.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.metric import COMPLEMENT, Metric, TrecMeasure

TIES = ("expected", "optimistic")
CORRECTIONS = ("jackknife", "local", "none", "miller-madow", "grassberger")
QUANTILE = "a quantile is no mean over queries"


def _part(name: str, label: str, index: int, **fields: Any) -> Metric:
    """A part of the cross-entropy: the mean of its pseudo-values, or as the chosen correction has it."""
    return Metric(
        name,
        label,
        unit="nats",
        falls=True,
        per_query=lambda queries: queries.pseudo_values[:, index],
        value=lambda queries: getattr(queries.decomposition, name),
        bounds=lambda queries: queries.decomposition.interval(name),
        has_interval=True,
        **fields,
    )


def _plugin(part: Metric) -> Metric:
    """A part without its correction; the noise of queries moves both alike."""
    name = f"{part.name}_plugin"
    return replace(
        part,
        name=name,
        label=f"{part.label} (plug-in)",
        value=lambda queries: getattr(queries.decomposition, name),
        has_interval=False,
    )


def _calibrated(metric: Metric, chance: Callable[[int], float] | None = None) -> Metric:
    """A part of the cross-entropy, plug-in or not, of the calibrated losses."""
    per_query, value, bounds = metric.per_query, metric.value, metric.bounds
    assert per_query is not None and value is not None and bounds is not None, "a part has all three"
    return replace(
        metric,
        name=f"calibrated_{metric.name}",
        label=f"Calibrated {metric.label.replace('Cross', 'cross')}",
        per_query=lambda queries: per_query(queries.calibrated),
        value=lambda queries: value(queries.calibrated),
        bounds=lambda queries: bounds(queries.calibrated),
        chance=chance,
        of_scores=True,
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
        of_scores=True,
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
# What is the same whatever the scale of scores, so that rankings compare that have none in common.
SCALE_FREE = ("rank_entropy", CALIBRATED, "mean_log_rank", "mrr", "auc", "auc_global")
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
            of_scores=True,
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
            of_scores=True,
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
