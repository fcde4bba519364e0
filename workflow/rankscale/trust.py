"""The figures that say how far to trust the laws, and what to train next: forecasts rolled forward, residuals, plan."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rankscale.evaluation.decomposition import PARTS
from rankscale.findings import NAMES
from rankscale.laws.axes import headline_slice
from rankscale.outlook import name_of
from rankscale.panels import AXES, COLOURS, MARKERS, Study, blank, panels, subtitle

ROLLED = ("model", "data")
LAW_MARKERS = dict(zip(COLOURS, MARKERS, strict=False))
STRONG = 1.0  # standard errors of alpha that one point moves it


def roll_forward(study: Study) -> plt.Figure:
    """How wrong forecasts of all larger sizes (subsets) were, by how many were known."""
    headline = study.headline()
    finals = headline.finals()
    figure, axes = panels(len(PARTS), len(ROLLED), 11, 2.9 * len(ROLLED))
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
            blank(ax, "too few sizes")
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


def residuals(study: Study) -> plt.Figure:
    """What the laws leave unexplained, and the points that move them."""
    headline = study.headline()
    finals = headline.finals()
    shown = [metric for metric in PARTS if metric != "score_uncertainty"]
    figure, axes = panels(len(shown), len(ROLLED), 9.5, 2.9 * len(ROLLED))
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
            blank(ax, "no law was fitted")
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


def plan(study: Study) -> plt.Figure:
    """Lines of equal cost and of equal quality over size and data, and the choice."""
    figure, (ax,) = panels(1, 1, 7.5, 5.2)
    rows, grid = study.plan, study.plan_grid
    choice: pd.Series = rows[rows.chosen].iloc[0]
    figure.suptitle(subtitle(study.headline()), fontsize=9)
    if grid.empty:
        blank(ax, choice.note)
        return figure
    table = grid.pivot_table(index="train_queries", columns="encoder_parameters", values=["cost", "predicted"])
    n, d = (table["cost"].columns.to_numpy(), table["cost"].index.to_numpy())
    # Before the lines are drawn: their labels are laid out on the axes as they are then.
    ax.set_xscale("log")
    ax.set_yscale("log")
    quality = ax.contour(n, d, table["predicted"], levels=9, colors="#0072B2", linewidths=1)
    ax.clabel(quality, fontsize=7, fmt="%.3g", inline_spacing=2)
    cost = table["cost"].to_numpy()
    levels = np.geomspace(cost.min(), cost.max(), 9)[1:-1]
    if pd.notna(choice.budget) and cost.min() < choice.budget < cost.max():
        levels = np.append(levels[np.abs(np.log(levels / choice.budget)) > 0.2], choice.budget)
        levels.sort()
    spent = ax.contour(n, d, cost, levels=levels, colors="#999999", linewidths=0.8, linestyles="--")
    ax.clabel(spent, fontsize=7, fmt=lambda v: f"{v:.2g}" if v < 100 else f"{v:,.0f}", inline_spacing=2)
    finals = study.finals()
    sizes, subsets = finals.encoder_parameters, finals.train_queries
    ax.plot(sizes, subsets, ".", color="k", ms=3, label="measured")
    edge = {"color": "k", "lw": 0.8, "ls": ":"}
    ax.plot(
        [n[0], sizes.max(), sizes.max()], [subsets.max(), subsets.max(), d[0]], **edge, label="beyond: extrapolated"
    )
    others = rows[~rows.chosen].sort_values("encoder_parameters")
    ax.plot(others.encoder_parameters, others.train_queries, "s", color="#E69F00", ms=4, label="best for each size")
    if pd.notna(choice.encoder_parameters):
        ax.plot(choice.encoder_parameters, choice.train_queries, "*", color="#D55E00", ms=13, label="chosen")
        if pd.notna(choice.parameters_low):
            at = {"color": "#D55E00", "lw": 1.2}
            arms = "what simulated studies choose"
            ax.hlines(choice.train_queries, choice.parameters_low, choice.parameters_high, label=arms, **at)
            ax.vlines(choice.encoder_parameters, choice.queries_low, choice.queries_high, **at)
    ax.set_xlim(n[0] / 1.1, n[-1] * 1.1)
    ax.set_ylim(d[0] / 1.1, d[-1] * 1.1)
    ax.set_xlabel(AXES["model"])
    ax.set_ylabel(AXES["data"])
    handles, labels = ax.get_legend_handles_labels()
    handles += [mpl.lines.Line2D([], [], color=c, ls=s) for c, s in (("#0072B2", "-"), ("#999999", "--"))]
    figure.legend(handles, [*labels, name_of(choice.metric), "cost"], loc="outside lower center", ncols=4)
    asked = f"budget {choice.budget:g}" if pd.notna(choice.budget) else f"target {choice.target:g}"
    figure.suptitle(f"{subtitle(study.headline())}; {choice.law} law, {asked}", fontsize=9)
    if choice.note:
        ax.set_title(f"Beware: {choice.note}", fontsize=7.5, color="#a00", wrap=True)
    return figure
