"""What the page's interactive figure shows, as plain data: points, laws with their bands, verdicts, chance."""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from rankscale.core.metrics import CALIBRATED, METRICS, PARTS, metric_named
from rankscale.laws.axes import coordinates, headline_slice
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.query_covariance import values_of
from rankscale.report.labels import name_of
from rankscale.report.verdicts import headline_of, slice_words, verdict_words

POINTS_OF_A_CURVE = 30  # what a screen tells apart of the 60 that tables have
TITLES = {
    "model": "Encoder parameters N",
    "data": "Training queries D",
    "compute": "Training compute (FLOPs)",
    "inference": "Inference compute a query (FLOPs)",
}
DASHES = {"--": "dash", "-": "solid", "-.": "dashdot", ":": "dot"}
TEST = ["collection", "split", "candidates"]


def figure_data(
    metrics: pd.DataFrame, fits: pd.DataFrame, curves: pd.DataFrame, verdicts: pd.DataFrame
) -> dict[str, Any]:
    """Everything that can be chosen, as JSON has it; the first of each list is what the page opens with.

    `points` are the ends of training, `curves` the laws that were fitted to them over the axes of the findings, with
    the ends of their 95 % bands, `verdicts` those in words. Raises StudyError for a metric that is unknown.
    """
    finals = metrics[metrics.checkpoint == "final"]
    first = headline_of(finals, metrics)
    axes = [axis for axis in TITLES if np.isfinite(coordinates(finals, axis)).all()]
    names = _metrics_of(finals, curves)
    tests = _headline_first(finals[TEST].drop_duplicates().to_dict("records"), first.iloc[0][TEST].to_dict())
    laws = [law for law in LAWS.values() if law.variables == 1 and law.name in set(curves.law)]
    return {
        "metrics": [{"name": name, "label": name_of(name), "unit": metric_named(name).unit} for name in names],
        "axes": [{"name": axis, "label": TITLES[axis], "slice": headline_slice(axis, first)} for axis in axes],
        "tests": [{"label": "{collection}: {split}, {candidates} candidates".format(**test)} for test in tests],
        "variants": _headline_first(finals.variant.unique().tolist(), first.variant.iloc[0]),
        "laws": [{"name": law.name, "label": f"{law.name.replace('_', ' and ')} law", **_look(law)} for law in laws],
        "models": _coloured(finals.sort_values("encoder_parameters").model.unique().tolist()),
        "subsets": _coloured(sorted(finals.train_queries.unique().tolist())),
        "points": list(_points(finals, tests, axes, names)),
        "curves": list(_curves(curves, fits, tests, axes)),
        "verdicts": [
            _of(row, tests) | {"verdict": verdict_words(row)} for _, row in verdicts.iterrows() if row.axis in axes
        ],
        "chance": {name: _chance(name, finals, tests) for name in names},
    }


def _look(law: Law) -> dict[str, str]:
    return {"colour": law.colour, "dash": DASHES[law.line_style]}


def _metrics_of(finals: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """The metrics that laws were fitted to, the four first; without laws the four, where they were measured."""
    fitted = set(curves.metric)
    order = dict.fromkeys(("rank_entropy", "cross_entropy", CALIBRATED, *PARTS, *METRICS, *curves.metric))
    chosen = [name for name in order if name in fitted] or list(PARTS)
    return [name for name in chosen if np.isfinite(values_of(finals, name)).any()]


def _headline_first(values: list, headline: object) -> list:
    return [headline, *(value for value in values if value != headline)]


def _coloured(values: list) -> list[dict[str, Any]]:
    """Values in their order, each with a colour of a scale that is told apart without seeing hues."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(values)))
    return [{"name": value, "colour": mpl.colors.to_hex(colour)} for value, colour in zip(values, colours, strict=True)]


def _points(finals: pd.DataFrame, tests: list[dict], axes: list[str], names: list[str]) -> Iterable[dict[str, Any]]:
    """Every run on every test set: what it is, where it lies on each axis, its metrics with their 95 % intervals."""
    xs = {axis: coordinates(finals, axis)[:, 0] for axis in axes}
    values = {name: _with_interval(finals, name) for name in names}
    keys = [tests.index(test) for test in finals[TEST].to_dict("records")]
    for i, row in enumerate(finals.itertuples()):
        measured = {name: _short(list(numbers[:, i])) for name, numbers in values.items() if np.isfinite(numbers[0, i])}
        yield {
            "test": keys[i],
            "variant": row.variant,
            "model": row.model,
            "subset": int(row.train_queries),
            "seed": int(row.seed),
            "x": {axis: _short([x[i]], 9)[0] for axis, x in xs.items()},
            "values": measured,
        }


def _with_interval(rows: pd.DataFrame, metric: str) -> np.ndarray:
    """A metric of rows with the ends of its interval, float64 [3, n]; NaN where the tables have none."""
    known = metric_named(metric)
    ends = [rows[f"{known.column}_{end}"].to_numpy(float) for end in ("low", "high")] if known.has_interval else []
    value = values_of(rows, metric)
    return np.stack([value, *(known.interval(*ends) if ends else np.full((2, len(rows)), np.nan))])


def _curves(curves: pd.DataFrame, fits: pd.DataFrame, tests: list[dict], axes: list[str]) -> Iterable[dict[str, Any]]:
    key = [*TEST, "variant", "metric", "axis", "fixed", "law"]
    explained = fits.dropna(subset="r2").drop_duplicates(key).set_index(key).r2.to_dict()
    for values, curve in curves[curves.axis.isin(axes)].groupby(key, sort=False):
        row = curve.iloc[0]
        kept = curve.iloc[np.unique(np.linspace(0, len(curve) - 1, POINTS_OF_A_CURVE).round().astype(int))]
        numbers = {column: _short(kept[column].tolist()) for column in ("x", "y", "low", "high")}
        fit = {"law": row.law, "r2": _short([explained.get(values, np.nan)])[0]}
        yield _of(row, tests) | fit | numbers


def _of(row: pd.Series, tests: list[dict]) -> dict[str, Any]:
    """What a row of laws or verdicts is of."""
    words = "" if row.axis == "compute" else slice_words(row.fixed)
    of = {"variant": row.variant, "metric": row.metric, "axis": row.axis, "fixed": row.fixed, "slice": words}
    return {"test": tests.index(row[TEST].to_dict()), **of}


def _chance(metric: str, finals: pd.DataFrame, tests: list[dict]) -> list[float | None]:
    """The metric of random scores on each test set; None where nothing says."""
    known = metric_named(metric)
    if not known.has_ceiling:
        return [None] * len(tests)
    counts = [finals[(finals[TEST] == pd.Series(test)).all(axis=1)].n_candidates.unique() for test in tests]
    return [_short([known.ceiling(int(n[0]))])[0] if len(n) == 1 else None for n in counts]


def _short(values: list, digits: int = 5) -> list[float | None]:
    """Numbers to as many digits as a figure shows; None where there is none."""
    return [float(f"{value:.{digits}g}") if pd.notna(value) and np.isfinite(value) else None for value in values]
