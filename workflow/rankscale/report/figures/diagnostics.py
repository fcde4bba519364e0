"""The figures that say how far to trust the laws, and what to train next: forecasts rolled forward, residuals, plan."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from rankscale.evaluation.decomposition import PARTS
from rankscale.laws.axes import headline_slice
from rankscale.report.figures.style import AXES, COLOURS, MARKERS, StudyTables, empty_panel, subplots, subtitle
from rankscale.report.labels import NAMES

ROLLED = ("model", "data")
LAW_MARKERS = dict(zip(COLOURS, MARKERS, strict=False))
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
        signed = metric == "score_uncertainty"
        away = (rows.predicted - rows.observed).abs() if signed else 100 * rows.relative_error.abs()
        told = away.astype(float).groupby([rows.law, rows.known]).mean()
        for law in (law for law in COLOURS if law in set(rows.law)):
            line = told[law]
            ax.plot(line.index, line, color=COLOURS[law], marker=LAW_MARKERS[law], ms=4, lw=1.2, label=law)
        if rows.empty:
            empty_panel(ax, "too few sizes")
        else:
            known = sorted(rows.known.unique())
            ax.set_xticks(known if len(known) < 12 else known[::3])
            if (told > 0).all() and told.max() > 30 * told.min():
                ax.set_yscale("log")
        ax.set_title(NAMES[metric], fontsize=9.5)
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
    shown = [metric for metric in PARTS if metric != "score_uncertainty"]
    figure, axes = subplots(len(shown), len(ROLLED), 9.5, 2.9 * len(ROLLED))
    for ax, (axis, metric) in zip(axes, [(a, m) for a in ROLLED for m in shown], strict=True):
        rows = headline.influence
        rows = rows[(rows.axis == axis) & (rows.fixed == headline_slice(axis, finals)) & (rows.metric == metric)]
        for law in (law for law in COLOURS if law in set(rows.law)):
            of = rows[rows.law == law].sort_values("x")
            ax.plot(of.x, 100 * of.residual, color=COLOURS[law], lw=0.6, alpha=0.6)
            size = 12 + 40 * np.minimum(of["shift"].abs(), 3)
            ax.scatter(
                of.x, 100 * of.residual, s=size, color=COLOURS[law], marker=LAW_MARKERS[law], label=law, zorder=3
            )
            for row in of[of["shift"].abs() > STRONG].itertuples():
                name = row.model if axis == "model" else f"{row.train_queries:,}"
                ax.annotate(name, (row.x, 100 * row.residual), (4, 4), textcoords="offset points", fontsize=7)
        if rows.empty:
            empty_panel(ax, "no law was fitted")
        else:
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            ax.axhline(0, color="k", lw=0.8)
        ax.set_title(NAMES[metric], fontsize=9.5)
        ax.set_xlabel(AXES[axis])
        ax.set_ylabel("residual (%)")
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    told = "large marks move the exponent; named ones by more than its standard error"
    figure.suptitle(f"{subtitle(headline)}; {told}", fontsize=9)
    return figure
