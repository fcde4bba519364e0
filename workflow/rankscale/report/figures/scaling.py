"""The figures of a study, one function each."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rankscale.core.metrics import PARTS
from rankscale.laws.axes import coordinates, headline_slice
from rankscale.laws.forms.registry import NO_CHANGE
from rankscale.report.figures.style import (
    MARKERS,
    StudyTables,
    add_law_legend,
    describe_slice,
    draw_chance,
    draw_curves,
    draw_points,
    draw_references,
    empty_panel,
    format_axis,
    law_styles,
    subplots,
    subtitle,
)
from rankscale.report.labels import name_of
from rankscale.report.verdicts import verdict_words


def _scale(study: StudyTables, axis: str, by: str, label: Callable) -> plt.Figure:
    """Four panels over one axis: points by `by`, the laws of the headline's points, and the verdicts."""
    finals = study.finals()
    fixed = headline_slice(axis, finals)
    figure, axes = subplots()
    drawn: set[str] = set()
    groups = sorted(finals[by].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(groups)))
    for ax, metric in zip(axes, PARTS, strict=True):
        for i, group in enumerate(groups):
            rows = finals[finals[by] == group]
            style = (colours[i], MARKERS[i % len(MARKERS)])
            draw_points(ax, rows, metric, coordinates(rows, axis)[:, 0], *style, label(rows.iloc[0]))
        drawn |= draw_curves(ax, study, metric, axis, fixed)
        format_axis(ax, finals, metric, axis)
        draw_chance(ax, finals, metric)
        draw_references(ax, study, metric)
        of_panel = study.verdicts.query("axis == @axis and fixed == @fixed and metric == @metric")
        if len(of_panel):
            ax.set_title(f"{name_of(metric)}: {verdict_words(of_panel.iloc[0])}", fontsize=8.5)
    add_law_legend(figure, axes[0], drawn)
    figure.suptitle(f"{subtitle(study)}; laws of {describe_slice(fixed)}", fontsize=9)
    return figure


def model_scale(study: StudyTables) -> plt.Figure:
    """The four over model size, by subset."""
    headline = study.headline()
    return _scale(headline, "model", "train_queries", lambda r: f"D = {r.train_queries:,}")


def data_scale(study: StudyTables) -> plt.Figure:
    """The four over training queries, by model."""
    headline = study.headline()
    return _scale(headline, "data", "encoder_parameters", lambda r: f"{r.model}\n{r.encoder_parameters:,}")


def compute_scale(study: StudyTables) -> plt.Figure:
    """The four over training compute, by model."""
    return _scale(study.headline(), "compute", "encoder_parameters", lambda r: r.model)


def forecast(study: StudyTables) -> plt.Figure:
    """Held-out sizes and subsets: what was forecast from the others, and what came."""
    headline = study.headline()
    ahead, finals = headline.forecasts[headline.forecasts.held_out], headline.finals()
    shown = ahead[ahead.fixed.isin([headline_slice("model", finals), headline_slice("data", finals)])]
    figure, axes = subplots()
    laws = {law: style for law, style in law_styles().items() if law in set(shown.law)}
    for ax, metric in zip(axes, PARTS, strict=True):
        rows = shown[shown.metric == metric]
        points = list(dict.fromkeys(zip(rows.axis, rows.model, rows.train_queries, rows.seed, strict=True)))
        for i, (axis, model, queries, seed) in enumerate(points):
            of_run = (rows.model == model) & (rows.train_queries == queries) & (rows.seed == seed)
            point = rows[(rows.axis == axis) & of_run]
            ax.plot(i - 0.3, point.observed.iloc[0], "k*", ms=8, label="observed" if not i else None, zorder=4)
            for n, (law, look) in enumerate(laws.items()):
                for row in point[point.law == law].itertuples():
                    bounds = None if pd.isna(row.low) else [[row.predicted - row.low], [row.high - row.predicted]]
                    x = i - 0.15 + 0.6 * n / max(len(laws), 4)
                    style = {"color": look.colour, "fmt": look.marker, "ms": 5, "capsize": 2}
                    ax.errorbar(x, row.predicted, bounds, label=law if not i else None, **style)
        names = [
            f"{model}\nfrom smaller" if axis == "model" else f"D = {q:,}\nfrom less" for axis, model, q, _ in points
        ]
        ax.set_xticks(range(len(points)), names, fontsize=7.5)
        ax.set_xlim(-0.6, len(points) - 0.4)
        if rows.empty:
            empty_panel(ax, "nothing was held out")
        elif list(laws) == [NO_CHANGE]:
            ax.text(0.02, 0.02, "too few sizes are known for a law", transform=ax.transAxes, fontsize=7.5)
        if len(rows):
            # One interval wider than all there is to see must not flatten the rest: it runs out of the panel.
            values = np.concatenate([rows.observed, rows.predicted.dropna()])
            room = 2 * (np.ptp(values) or abs(values[0]) or 1)
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, values.min() - room), min(high, values.max() + room))
        ax.set_title(name_of(metric), fontsize=9.5)
        ax.set_ylabel("nats")
    if len(shown):
        named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    figure.suptitle(f"{subtitle(headline)}; bars: 95 % prediction intervals", fontsize=9)
    return figure
