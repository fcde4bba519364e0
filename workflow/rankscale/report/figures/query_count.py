"""The figure that says whether a test set has enough queries."""

import matplotlib.pyplot as plt
import pandas as pd

from rankscale.report.figures.style import PART_COLOURS, StudyTables, subplots, subtitle
from rankscale.report.labels import name_of


def queries(study: StudyTables) -> plt.Figure:
    """The parts of the largest model's loss as queries are dropped, with and without the correction."""
    headline = study.headline()
    subsamples = headline.subsamples
    largest = headline.finals().sort_values(["train_queries", "encoder_parameters"]).model
    shown = [model for model in largest if (subsamples.model == model).any()]
    figure, axes = subplots(3, 1, 9.5, 3.4)
    figure.suptitle(subtitle(study.headline()), fontsize=9)
    if not shown:
        axes[0].text(0.5, 0.5, "no finished run to look at", transform=axes[0].transAxes, ha="center")
        return figure
    rows = subsamples[(subsamples.model == shown[-1]) & (subsamples.seed == subsamples.seed.min())]
    for ax, (part, colour) in zip(axes, PART_COLOURS.items(), strict=True):
        for correction, style in (("jackknife", "-o"), ("none", "--s")):
            points = rows[(rows.part == part) & (rows.correction == correction)].sort_values("n_queries")
            spread = points.spread.fillna(0.0).astype(float)
            label = "corrected" if correction == "jackknife" else "plug-in"
            n, mean = points.n_queries, points["mean"]
            ax.plot(n, mean, style, color=colour if correction == "jackknife" else "k", ms=4, label=label)
            if correction == "jackknife":
                ax.fill_between(n, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
        ax.set_xscale("log")
        ax.set_xticks(sorted(rows.n_queries.unique()), [f"{n:,}" for n in sorted(rows.n_queries.unique())])
        ax.minorticks_off()
        ax.set_title(name_of(part), fontsize=9.5)
        ax.set_xlabel("queries kept")
        ax.set_ylabel("nats")
    axes[0].legend()
    row: pd.Series = rows.iloc[0]
    caption = f"{shown[-1]} on {row.train_queries:,} queries; bands: one standard deviation over random subsets"
    figure.suptitle(f"{subtitle(study.headline())}; {caption}", fontsize=9)
    return figure
