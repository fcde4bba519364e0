"""The figures of a study's variants: the laws of all of them, one figure a metric."""

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd

from rankscale.core.metrics import CALIBRATED
from rankscale.laws.axes import coordinates, headline_slice
from rankscale.laws.forms.registry import forecasting_laws
from rankscale.laws.query_covariance import values_of
from rankscale.report.figures.style import (
    MARKERS,
    StudyTables,
    describe_slice,
    draw_chance,
    empty_panel,
    format_axis,
    subplots,
    subtitle,
)
from rankscale.report.labels import name_of
from rankscale.report.verdicts import on_headline_test, preferred_law

AXES = ("model", "data")


def _variants(study: StudyTables, panels: list[tuple[str, str]]) -> plt.Figure:
    """Each variant's points and law of a metric over an axis, a panel each, on the first one's headline slices."""
    finals = on_headline_test(study.finals(), study.metrics)
    first = study.headline().finals()
    names = list(finals.variant.unique())
    colours = plt.get_cmap("viridis")([0.9 * i / max(len(names) - 1, 1) for i in range(len(names))])
    figure, axes = subplots(len(panels), 1, 5 * len(panels), 4)
    for ax, (metric, axis) in zip(axes, panels, strict=True):
        fixed = headline_slice(axis, first)
        column, _, value = fixed.partition("=")
        shown = finals[finals[column].astype(str) == value]
        shown = shown[pd.notna(values_of(shown, metric))]
        if shown.empty:
            empty_panel(ax, f"{name_of(metric)}:\nnot measured of these runs")
            continue
        for i, name in enumerate(names):
            rows = shown[shown.variant == name]
            ax.scatter(
                coordinates(rows, axis)[:, 0],
                values_of(rows, metric),
                color=colours[i],
                marker=MARKERS[i % len(MARKERS)],
                s=18,
                label=name,
                zorder=3,
            )
            _curve(ax, study, {"variant": name, "metric": metric, "axis": axis, "fixed": fixed}, colours[i])
        format_axis(ax, shown, metric, axis)
        draw_chance(ax, shown, metric)
        ax.set_title(f"{name_of(metric)}, {describe_slice(fixed)}", fontsize=9.5)
    handles, labels = next((ax.get_legend_handles_labels() for ax in axes if ax.axison), ([], []))
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(subtitle(study.headline()), fontsize=9)
    return figure


def _curve(ax: plt.Axes, study: StudyTables, key: dict[str, str], colour: tuple) -> None:
    """The law that AICc prefers of one variant's points, with its band."""

    def of(table: pd.DataFrame) -> pd.DataFrame:
        rows = on_headline_test(table, study.metrics)
        return rows[(rows[list(key)] == pd.Series(key)).all(axis=1)]

    fits = of(study.fits)
    law = preferred_law(fits[fits.converged], forecasting_laws(key["metric"]))
    if law is not None:
        curve = of(study.curves).query("law == @law").sort_values("x")
        ax.plot(curve.x, curve.y, color=colour, lw=1.3)
        ax.fill_between(curve.x, curve.low.astype(float), curve.high.astype(float), color=colour, alpha=0.12, lw=0)


SHOWN = ("rank_entropy", CALIBRATED, "1-mrr")
variants_rank_entropy, variants_calibrated, variants_mrr = (
    partial(_variants, panels=[(metric, axis) for axis in AXES]) for metric in SHOWN
)
variants_inference = partial(_variants, panels=[(metric, "inference") for metric in SHOWN])
