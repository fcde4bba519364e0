"""What the figures share: their look, legible without colour and to the colour-blind; points, curves, panels."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

from rankscale.laws.forms import NO_CHANGE
from rankscale.report.labels import NAMES
from rankscale.report.verdicts import headline_of

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.container import ErrorbarContainer

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "svg.hashsalt": "rankscale",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "savefig.dpi": 200,
    }
)

AXES = {
    "model": "Encoder parameters N",
    "data": "Training queries D",
    "compute": "Training compute (FLOPs)",
}
# Okabe and Ito's colours, told apart by every kind of colour vision; shapes repeat what they say.
COLOURS = {"line": "#0072B2", "floor": "#D55E00", "trend": "#009E73", NO_CHANGE: "#777777"}
PART_COLOURS = {"rank_entropy": "#0072B2", "rank_score_alignment": "#E69F00", "score_uncertainty": "#999999"}
CANDIDATES = {"hard": "#0072B2", "random": "#E69F00"}
MARKERS = "osD^vP*XhpdH<>8"


class StudyTables(NamedTuple):
    """The tables that the figures show."""

    metrics: pd.DataFrame
    fits: pd.DataFrame
    forecasts: pd.DataFrame
    curves: pd.DataFrame
    subsamples: pd.DataFrame
    influence: pd.DataFrame
    plan: pd.DataFrame | None = None
    plan_grid: pd.DataFrame | None = None

    def headline(self) -> "StudyTables":
        """What the findings speak of: one test set, one kind of candidates."""
        tables = self._asdict().items()
        kept = ("plan", "plan_grid")
        return StudyTables(**{k: table if k in kept else headline_of(table, self.metrics) for k, table in tables})

    def finals(self) -> pd.DataFrame:
        """The ends of training."""
        return self.metrics[self.metrics.checkpoint == "final"]


def subplots(columns: int = 2, rows: int = 2, width: float = 8, height: float = 6) -> tuple:
    """A figure of `rows` x `columns` axes, flattened; width and height in inches."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    return figure, axes.ravel()


def subtitle(study: StudyTables) -> str:
    """Study, test set and candidates, in words."""
    row = study.metrics.iloc[0]
    return f"{row.study}: {row.n_queries} {row.split} queries, {row.n_candidates} {row.candidates} candidates"


def describe_slice(fixed: str) -> str:
    """What a fit held fixed, in words."""
    name, _, value = fixed.partition("=")
    return f"D = {int(value):,}" if name == "train_queries" else value or name


def draw_points(
    ax: plt.Axes, rows: pd.DataFrame, metric: str, x: np.ndarray, colour: tuple | str, marker: str, label: str
) -> ErrorbarContainer:
    """Values with their 95 % intervals; what a legend names."""
    y = rows[metric].to_numpy()
    errors = np.abs(rows[[f"{metric}_low", f"{metric}_high"]].to_numpy().T - y)
    return ax.errorbar(x, y, errors, fmt=marker, color=colour, ms=4, lw=0.8, label=label, alpha=0.9, zorder=3)


def empty_panel(ax: plt.Axes, why: str) -> None:
    """A panel that has nothing to show says why, without axes."""
    ax.axis("off")
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center")


def format_axis(ax: plt.Axes, rows: pd.DataFrame, metric: str, axis: str) -> None:
    """Scales, ticks, title and labels of a panel that shows `metric` of `rows` over one axis."""
    ax.margins(y=0.12)  # room for what is written at the foot of a panel
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    if axis == "data":
        subsets = sorted(rows.train_queries.unique())
        ax.set_xticks(subsets, [f"{queries:,}" for queries in subsets], rotation=30)
    if metric != "score_uncertainty" and (rows[metric] > 0).all():
        ax.set_yscale("log")
        plain = mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_formatter(plain)
        # Few labels between the powers of ten where the axis spans more than one of them.
        low, high = ax.get_ylim()
        ax.yaxis.set_minor_locator(mpl.ticker.LogLocator(subs=(2, 5) if high > 4 * low else "all"))
        ax.yaxis.set_minor_formatter(plain)
    ax.set_title(NAMES[metric], fontsize=9.5)
    ax.set_xlabel(AXES[axis])
    ax.set_ylabel("nats")


def draw_curves(ax: plt.Axes, study: StudyTables, metric: str, axis: str, fixed: str) -> set[str]:
    """The fitted laws of one set of points, with bands, or why there is none; which were drawn."""
    curves = study.curves[(study.curves.metric == metric) & (study.curves.axis == axis) & (study.curves.fixed == fixed)]
    fits = study.fits[(study.fits.metric == metric) & (study.fits.axis == axis) & (study.fits.fixed == fixed)]
    # A trend is drawn where a power law cannot be; a floor only where it is one.
    laws = ("trend",) if metric == "score_uncertainty" else ("line", "floor")
    said, drawn = [], set()
    for law in laws:
        curve, of_law = curves[curves.law == law], fits[fits.law == law]
        if of_law.empty:
            continue
        if not of_law.converged.iloc[0]:
            said.append(f"{law}: {of_law.note.iloc[0].split(':')[0]}")
            continue
        drawn.add(law)
        r2 = of_law.r2.iloc[0]
        said.append(f"{law}: R² {r2:.3f}" if pd.notna(r2) else law)
        ax.plot(curve.x, curve.y, color=COLOURS[law], ls="--" if law == "line" else "-", lw=1.3, zorder=2)
        ax.fill_between(curve.x, curve.low, curve.high, color=COLOURS[law], alpha=0.12, lw=0, zorder=1)
    ax.text(0.02, 0.02, "\n".join(said), transform=ax.transAxes, fontsize=7.5, va="bottom")
    return drawn
