"""The figures of a study, one function each."""

from collections.abc import Callable
from itertools import product

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rankscale import enough, trust
from rankscale.evaluation.decomposition import PARTS
from rankscale.findings import NAMES, SEARCHED
from rankscale.laws.axes import coordinates, headline_slice
from rankscale.laws.forms import NO_CHANGE
from rankscale.panels import (
    CANDIDATES,
    COLOURS,
    MARKERS,
    PART_COLOURS,
    Study,
    blank,
    draw_curves,
    draw_points,
    dress,
    panels,
    said,
    subtitle,
)


def _scale(study: Study, axis: str, by: str, label: Callable) -> plt.Figure:
    """Four panels over one axis: points by `by`, and the laws of the headline's points."""
    finals = study.finals()
    fixed = headline_slice(axis, finals)
    figure, axes = panels()
    drawn: set[str] = set()
    groups = sorted(finals[by].unique())
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(groups)))
    for ax, metric in zip(axes, PARTS, strict=True):
        for i, group in enumerate(groups):
            rows = finals[finals[by] == group]
            style = (colours[i], MARKERS[i % len(MARKERS)])
            draw_points(ax, rows, metric, coordinates(rows, axis)[:, 0], *style, label(rows.iloc[0]))
        drawn |= draw_curves(ax, study, metric, axis, fixed)
        dress(ax, finals, metric, axis)
    handles, labels = axes[0].get_legend_handles_labels()
    for law, style in (("line", "--"), ("floor", "-"), ("trend", "-")):
        if law not in drawn:
            continue
        handles.append(mpl.lines.Line2D([], [], color=COLOURS[law], ls=style))
        labels.append(f"{law}, 95 % band")
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(f"{subtitle(study)}; laws of {said(fixed)}", fontsize=9)
    return figure


def model_scale(study: Study) -> plt.Figure:
    """The four over model size, by subset."""
    headline = study.headline()
    return _scale(headline, "model", "train_queries", lambda r: f"D = {r.train_queries:,}")


def data_scale(study: Study) -> plt.Figure:
    """The four over training queries, by model."""
    headline = study.headline()
    return _scale(headline, "data", "encoder_parameters", lambda r: f"{r.model}\n{r.encoder_parameters:,}")


def compute_scale(study: Study) -> plt.Figure:
    """The four over training compute, by model."""
    return _scale(study.headline(), "compute", "encoder_parameters", lambda r: r.model)


def metric_vs_mrr(study: Study) -> plt.Figure:
    """Each of the four against MRR over the same candidates and, where there are runs, against nDCG@10."""
    headline = study.headline()
    finals = headline.finals()
    measures = {"mrr": "MRR over the candidates"}
    if finals.ndcg_10.notna().any():
        measures["ndcg_10"] = f"nDCG@10, {SEARCHED[finals.retrieval.iloc[0]]}"
    figure, axes = panels(len(PARTS), len(measures), 11, 2.9 * len(measures))
    models = finals.sort_values("encoder_parameters").model.unique()
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(models)))
    for ax, (measure, metric) in zip(axes, product(measures, PARTS), strict=True):
        for i, model in enumerate(models):
            rows = finals[finals.model == model]
            ax.scatter(
                rows[metric], rows[measure], color=colours[i], marker=MARKERS[i % len(MARKERS)], s=22, label=model
            )
        if len(finals) > 2:
            rank = finals[metric].corr(finals[measure], method="spearman")
            ax.text(0.97, 0.97, f"Spearman {rank:.3f}", transform=ax.transAxes, fontsize=8, ha="right", va="top")
        if measure == "mrr":
            n = int(finals.n_candidates.iloc[0])
            ax.axhline((1 / np.arange(1, n + 2)).mean(), color="k", ls=":", lw=0.8)
        ax.set_xlabel(f"{NAMES[metric]} (nats)")
        if metric == PARTS[0]:
            ax.set_ylabel(measures[measure])
    axes[0].text(0.98, 0.02, "dotted: chance", transform=axes[0].transAxes, ha="right", fontsize=7.5)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(subtitle(headline), fontsize=9)
    return figure


def training(study: Study) -> plt.Figure:
    """The four and MRR over the steps of the runs with snapshots."""
    split = study.metrics.split.iloc[0]
    rows = study.metrics[study.metrics.split == split]
    keys = ["model", "train_queries", "seed"]
    several = rows.groupby(keys).step.nunique()
    several = several[several > 1]
    figure, axes = panels(3, 2, 9, 5.5)
    for n, key in enumerate(several.index):
        of_run = rows[(rows[keys] == list(key)).all(axis=1)].sort_values("step")
        for kind, seen in of_run.groupby("candidates"):
            label = f"{key[0]}, seed {key[2]}, {kind}"
            style = {
                "color": CANDIDATES[kind],
                "ls": ["-", "--", ":", "-."][n % 4],
                "marker": MARKERS[n % len(MARKERS)],
                "ms": 3.5,
            }
            for ax, metric in zip(axes, (*PARTS, "mrr"), strict=False):
                ax.plot(seen.step, seen[metric], lw=1.2, label=label, **style)
                ax.fill_between(
                    seen.step, seen[f"{metric}_low"], seen[f"{metric}_high"], color=style["color"], alpha=0.15, lw=0
                )
    for ax, metric in zip(axes, (*PARTS, "mrr"), strict=False):
        ax.set_xscale("log")
        ax.set_title(NAMES.get(metric, "MRR over the candidates"), fontsize=9.5)
        ax.set_xlabel("Step")
        ax.set_ylabel("nats" if metric in NAMES else "MRR")
    axes[5].axis("off")
    if several.empty:
        for ax in axes[:5]:
            blank(ax, "no finished run\nhas snapshots")
    else:
        axes[5].legend(*axes[0].get_legend_handles_labels(), loc="center")
    runs = ", ".join(f"{model} on {queries:,} queries" for model, queries, _ in several.index)
    figure.suptitle(f"{rows.study.iloc[0]}: {runs}" if runs else rows.study.iloc[0], fontsize=9)
    return figure


def shares(study: Study) -> plt.Figure:
    """The parts as signed shares of the cross-entropy, by model, on the largest subset."""
    split = study.metrics.split.iloc[0]
    finals = study.finals()
    finals = finals[(finals.split == split) & (finals.train_queries == finals.train_queries.max())]
    kinds = sorted(finals.candidates.unique())
    figure, axes = panels(len(kinds), 1, 4.2 * len(kinds), 3.6)
    for ax, kind in zip(axes, kinds, strict=True):
        mean = (
            finals[finals.candidates == kind].groupby(["encoder_parameters", "model"])[list(PARTS)].mean().reset_index()
        )
        up, down = np.zeros(len(mean)), np.zeros(len(mean))
        for part, hatch in zip(PARTS[1:], ("", "//", ".."), strict=True):
            share = (mean[part] / mean.cross_entropy).to_numpy()
            # Positive shares stack upwards, negative ones downwards: the sum stays 1.
            base = np.where(share >= 0, up, down)
            ax.bar(mean.model, share, bottom=base, color=PART_COLOURS[part], hatch=hatch, ec="white", label=NAMES[part])
            up, down = up + np.maximum(share, 0), down + np.minimum(share, 0)
        ax.axhline(0, color="k", lw=0.8)
        ax.axhline(1, color="k", lw=0.8, ls=":")
        ax.tick_params(axis="x", rotation=60)
        ax.set_ylabel("Signed share of the cross-entropy")
        ax.set_title(f"{kind} candidates, D = {finals.train_queries.max():,}", fontsize=9.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{finals.study.iloc[0]}: {finals.n_queries.iloc[0]} {split} queries", fontsize=9)
    return figure


def forecast(study: Study) -> plt.Figure:
    """Held-out sizes and subsets: what was forecast from the others, and what came."""
    headline = study.headline()
    ahead, finals = headline.forecasts[headline.forecasts.held_out], headline.finals()
    shown = ahead[ahead.fixed.isin([headline_slice("model", finals), headline_slice("data", finals)])]
    figure, axes = panels()
    laws = [law for law in COLOURS if law in set(shown.law)]
    for ax, metric in zip(axes, PARTS, strict=True):
        rows = shown[shown.metric == metric]
        points = list(dict.fromkeys(zip(rows.axis, rows.model, rows.train_queries, rows.seed, strict=True)))
        for i, (axis, model, queries, seed) in enumerate(points):
            at = (rows.axis == axis) & (rows.model == model) & (rows.train_queries == queries) & (rows.seed == seed)
            here = rows[at]
            ax.plot(i - 0.3, here.observed.iloc[0], "k*", ms=8, label="observed" if not i else None, zorder=4)
            for n, law in enumerate(laws):
                for row in here[here.law == law].itertuples():
                    bounds = None if pd.isna(row.low) else [[row.predicted - row.low], [row.high - row.predicted]]
                    x = i - 0.15 + 0.15 * n
                    style = {"color": COLOURS[law], "fmt": MARKERS[n], "ms": 5, "capsize": 2}
                    ax.errorbar(x, row.predicted, bounds, label=law if not i else None, **style)
        names = [
            f"{model}\nfrom smaller" if axis == "model" else f"D = {q:,}\nfrom less" for axis, model, q, _ in points
        ]
        ax.set_xticks(range(len(points)), names, fontsize=7.5)
        ax.set_xlim(-0.6, len(points) - 0.4)
        if rows.empty:
            blank(ax, "nothing was held out")
        elif laws == [NO_CHANGE]:
            ax.text(0.02, 0.02, "too few sizes are known for a law", transform=ax.transAxes, fontsize=7.5)
        if len(rows):
            # One interval wider than all there is to see must not flatten the rest: it runs out of the panel.
            seen = np.concatenate([rows.observed, rows.predicted.dropna()])
            room = 2 * (np.ptp(seen) or abs(seen[0]) or 1)
            low, high = ax.get_ylim()
            ax.set_ylim(max(low, seen.min() - room), min(high, seen.max() + room))
        ax.set_title(NAMES[metric], fontsize=9.5)
        ax.set_ylabel("nats")
    if len(shown):
        named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5)
    figure.suptitle(f"{subtitle(headline)}; bars: 95 % prediction intervals", fontsize=9)
    return figure


FIGURES = {
    figure.__name__: figure
    for figure in (
        *(model_scale, data_scale, compute_scale, metric_vs_mrr, training, shares, forecast),
        *(trust.roll_forward, trust.residuals, enough.queries, trust.plan),
    )
}
