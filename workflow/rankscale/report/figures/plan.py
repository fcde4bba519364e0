"""The figure of the plan: equal cost, equal quality, and the choice."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rankscale.report.figures.style import AXES, StudyTables, empty_panel, subplots, subtitle
from rankscale.report.labels import name_of


def plan(study: StudyTables) -> plt.Figure:
    """Lines of equal cost and of equal quality over size and data, and the choice."""
    figure, (ax,) = subplots(1, 1, 7.5, 5.2)
    rows, grid = study.plan, study.plan_grid
    assert rows is not None and grid is not None, "the figure is of a study that was planned"
    choice: pd.Series = rows[rows.chosen].iloc[0]
    figure.suptitle(subtitle(study.headline()), fontsize=9)
    if grid.empty:
        empty_panel(ax, choice.note)
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
            style = {"color": "#D55E00", "lw": 1.2}
            arms = "what simulated studies choose"
            ax.hlines(choice.train_queries, choice.parameters_low, choice.parameters_high, label=arms, **style)
            ax.vlines(choice.encoder_parameters, choice.queries_low, choice.queries_high, **style)
    ax.set_xlim(n[0] / 1.1, n[-1] * 1.1)
    ax.set_ylim(d[0] / 1.1, d[-1] * 1.1)
    ax.set_xlabel(AXES["model"])
    ax.set_ylabel(AXES["data"])
    handles, labels = ax.get_legend_handles_labels()
    handles += [mpl.lines.Line2D([], [], color=c, ls=s) for c, s in (("#0072B2", "-"), ("#999999", "--"))]
    figure.legend(handles, [*labels, name_of(choice.metric), "cost"], loc="outside lower center", ncols=4)
    goal = f"budget {choice.budget:g}" if pd.notna(choice.budget) else f"target {choice.target:g}"
    figure.suptitle(f"{subtitle(study.headline())}; {choice.law} law, {goal}", fontsize=9)
    if choice.note:
        ax.set_title(f"Beware: {choice.note}", fontsize=7.5, color="#a00", wrap=True)
    return figure
