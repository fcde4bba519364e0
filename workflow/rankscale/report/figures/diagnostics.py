"""The figures that say how far to trust the laws, and what to train next: forecasts rolled forward, residuals, plan."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from rankscale.core.metrics import PARTS, metric_named
from rankscale.laws.axes import headline_slice
from rankscale.report.figures.style import AXES, StudyTables, empty_panel, law_styles, subplots, subtitle
from rankscale.report.labels import name_of

ROLLED = ("model", "data")
STRONG = 1.0  # standard errors of alpha that one point moves it


def roll_forward(study: StudyTables) -> plt.Figure:
    """How wrong forecasts of all larger sizes (subsets) were, by how many were known."""
    headline = study.headline()
    finals = headline.finals()
    figure, axes = subplots(len(PARTS), len(ROLLED), 11, 2.9 * len(ROLLED))
    for ax, (axis, metric) in zip(axes, [(a, m) for a in ROLLED for m in PARTS], strict=True):
        rows = headline.forecasts
        rows = rows[(rows.axis == axis) & (rows.fixed == headline_slice(axis, finals)) & (rows.metric == metric)]
        # A relative error means nothing for a metric that crosses 0.
        signed = metric_named(metric).signed
        errors = (rows.predicted - rows.observed).abs() if signed else 100 * rows.relative_error.abs()
        means = errors.astype(float).groupby([rows.law, rows.known]).mean()
        for law, style in law_styles().items():
            if law in set(rows.law):
                line = means[law]
                ax.plot(line.index, line, color=style.colour, marker=style.marker, ms=4, lw=1.2, label=law)
        if rows.empty:
            empty_panel(ax, "too few sizes")
        else:
            known = sorted(rows.known.unique())
            ax.set_xticks(known if len(known) < 12 else known[::3])
            if (means > 0).all() and means.max() > 30 * means.min():
                ax.set_yscale("log")
        ax.set_title(name_of(metric), fontsize=9.5)
        ax.set_xlabel("sizes known" if axis == "model" else "subsets known")
        ax.set_ylabel("mean error (nats)" if signed else "mean error (%)")
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    figure.suptitle(f"{subtitle(headline)}; each fit forecasts every larger size", fontsize=9)
    return figure


def residuals(study: StudyTables) -> plt.Figure:
    """What the laws leave unexplained, and the points that move them."""
    headline = study.headline()
    finals = headline.finals()
    shown = [metric for metric in PARTS if not metric_named(metric).signed]
    figure, axes = subplots(len(shown), len(ROLLED), 9.5, 2.9 * len(ROLLED))
    for ax, (axis, metric) in zip(axes, [(a, m) for a in ROLLED for m in shown], strict=True):
        rows = headline.influence
        rows = rows[(rows.axis == axis) & (rows.fixed == headline_slice(axis, finals)) & (rows.metric == metric)]
        for law, style in law_styles().items():
            points = rows[rows.law == law].sort_values("x")
            if points.empty:
                continue
            x, y, colour = points.x, 100 * points.residual, style.colour
            ax.plot(x, y, color=colour, lw=0.6, alpha=0.6)
            size = 12 + 40 * np.minimum(points["shift"].abs(), 3)
            ax.scatter(x, y, s=size, color=colour, marker=style.marker, label=law, zorder=3)
            for row in points[points["shift"].abs() > STRONG].itertuples():
                name = row.model if axis == "model" else f"{row.train_queries:,}"
                ax.annotate(name, (row.x, 100 * row.residual), (4, 4), textcoords="offset points", fontsize=7)
        if rows.empty:
            empty_panel(ax, "no law was fitted")
        else:
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            ax.axhline(0, color="k", lw=0.8)
        ax.set_title(name_of(metric), fontsize=9.5)
        ax.set_xlabel(AXES[axis])
        ax.set_ylabel("residual (%)")
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    caption = "large marks move the exponent; named ones by more than its standard error"
    figure.suptitle(f"{subtitle(headline)}; {caption}", fontsize=9)
    return figure
