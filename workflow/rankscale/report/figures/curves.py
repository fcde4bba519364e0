"""The figures of training and of what the metrics are made of."""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from rankscale.core.metrics import CALIBRATED, PARTS, metric_named
from rankscale.laws.axes import headline_subset
from rankscale.report.figures.style import (
    CANDIDATES,
    MARKERS,
    PART_COLOURS,
    StudyTables,
    draw_references,
    empty_panel,
    subplots,
    subtitle,
)
from rankscale.report.labels import in_figure, name_of, searched_words
from rankscale.report.verdicts import at_home

MRR = "MRR over the candidates"


def metric_vs_mrr(study: StudyTables) -> plt.Figure:
    """The four, and calibrated, against MRR over the same candidates and, where there are runs, against nDCG@10."""
    headline = study.headline()
    finals = headline.finals()
    measures = {"mrr": MRR}
    retrieved = finals[finals.ndcg_10.notna()]
    if len(retrieved):
        measures["ndcg_10"] = f"nDCG@10, {searched_words(retrieved.retrieval.iloc[0])}"
    shown = tuple(m for m in (PARTS[0], CALIBRATED, *PARTS[1:]) if finals[m].notna().any())
    figure, axes = subplots(len(shown), len(measures), 13.5, 2.9 * len(measures))
    models = finals.sort_values("encoder_parameters").model.unique()
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(models)))
    for ax, (measure, metric) in zip(axes, product(measures, shown), strict=True):
        for i, model in enumerate(models):
            rows = finals[finals.model == model]
            ax.scatter(
                rows[metric], rows[measure], color=colours[i], marker=MARKERS[i % len(MARKERS)], s=22, label=model
            )
        if finals[measure].notna().sum() > 2:
            rank = finals[metric].corr(finals[measure], method="spearman")
            note = f"Spearman {rank:.3f}"
            if metric in (PARTS[0], CALIBRATED):
                entropy = finals[metric].corr(finals.rank_entropy, method="spearman")
                note += f"\nwith Rank-Entropy {entropy:.3f}"
            ax.text(0.97, 0.97, note, transform=ax.transAxes, fontsize=8, ha="right", va="top")
        if measure == "mrr" and (chance := metric_named(measure).chance):
            ax.axhline(chance(int(finals.n_candidates.iloc[0])), color="k", ls=":", lw=0.8)
        draw_references(ax, headline, measure)
        ax.set_xlabel(f"{name_of(metric)} (nats)")
        if metric == shown[0]:
            ax.set_ylabel(measures[measure])
    axes[0].text(0.98, 0.02, "dotted: chance", transform=axes[0].transAxes, ha="right", fontsize=7.5)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(subtitle(headline), fontsize=9)
    return figure


def training(study: StudyTables) -> plt.Figure:
    """The four and MRR over the steps of the runs with snapshots."""
    split = study.metrics.split.iloc[0]
    rows = at_home(study.metrics, study.metrics)
    rows = rows[(rows.split == split) & (rows.variant == rows.variant.iloc[0])]
    keys = ["model", "train_queries", "seed"]
    several = rows.groupby(keys).step.nunique()
    several = several[several > 1]
    figure, axes = subplots(3, 2, 9, 5.5)
    for n, key in enumerate(several.index):
        of_run = rows[(rows[keys] == list(key)).all(axis=1)].sort_values("step")
        for kind, points in of_run.groupby("candidates"):
            label = f"{key[0]}, seed {key[2]}, {kind}"
            style = {
                "color": CANDIDATES[kind],
                "ls": ["-", "--", ":", "-."][n % 4],
                "marker": MARKERS[n % len(MARKERS)],
                "ms": 3.5,
            }
            for ax, metric in zip(axes, (*PARTS, "mrr"), strict=False):
                ax.plot(points.step, points[metric], lw=1.2, label=label, **style)
                low, high = points[f"{metric}_low"], points[f"{metric}_high"]
                ax.fill_between(points.step, low, high, color=style["color"], alpha=0.15, lw=0)
    for ax, metric in zip(axes, (*PARTS, "mrr"), strict=False):
        ax.set_xscale("log")
        ax.set_title(MRR if metric == "mrr" else name_of(metric), fontsize=9.5)
        ax.set_xlabel("Step")
        ax.set_ylabel(metric_named(metric).unit or name_of(metric))
    axes[5].axis("off")
    if several.empty:
        for ax in axes[:5]:
            empty_panel(ax, "no finished run\nhas snapshots")
    else:
        axes[5].legend(*axes[0].get_legend_handles_labels(), loc="center")
    runs = ", ".join(f"{model} on {queries:,} queries" for model, queries, _ in several.index)
    figure.suptitle(f"{rows.study.iloc[0]}: {runs}" if runs else rows.study.iloc[0], fontsize=9)
    return figure


def shares(study: StudyTables) -> plt.Figure:
    """The parts as signed shares of the cross-entropy, by model, on the headline's subset."""
    finals = at_home(study.finals(), study.metrics)
    subset = headline_subset(study.headline().finals())
    first = study.metrics.iloc[0]
    finals = finals[
        (finals.variant == first.variant) & (finals.split == first.split) & (finals.train_queries == subset)
    ]
    kinds = sorted(finals.candidates.unique())
    figure, axes = subplots(len(kinds), 1, 4.2 * len(kinds), 3.6)
    for ax, kind in zip(axes, kinds, strict=True):
        mean = (
            finals[finals.candidates == kind].groupby(["encoder_parameters", "model"])[list(PARTS)].mean().reset_index()
        )
        up, down = np.zeros(len(mean)), np.zeros(len(mean))
        for part, hatch in zip(PARTS[1:], ("", "//", ".."), strict=True):
            share = (mean[part] / mean.cross_entropy).to_numpy()
            # Positive shares stack upwards, negative ones downwards: the sum stays 1.
            base = np.where(share >= 0, up, down)
            ax.bar(
                mean.model, share, bottom=base, color=PART_COLOURS[part], hatch=hatch, ec="white", label=name_of(part)
            )
            up, down = up + np.maximum(share, 0), down + np.minimum(share, 0)
        ax.axhline(0, color="k", lw=0.8)
        ax.axhline(1, color="k", lw=0.8, ls=":")
        ax.tick_params(axis="x", rotation=60)
        ax.set_ylabel("Signed share of the cross-entropy")
        ax.set_title(f"{kind} candidates, D = {subset:,}", fontsize=9.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(
        f"{finals.study.iloc[0]}: {finals.n_queries.iloc[0]} {in_figure(finals.split.iloc[0])} queries", fontsize=9
    )
    return figure
