"""What the figures share: their look, legible without colour and to the colour-blind; points, curves, panels."""

from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

from rankscale.core.metrics import metric_named
from rankscale.laws.axes import coordinates
from rankscale.laws.forms.registry import LAWS, NO_CHANGE, forecasting_laws
from rankscale.laws.query_covariance import values_of
from rankscale.report.labels import in_figure, name_of
from rankscale.report.test_sets.references import label_of
from rankscale.report.verdicts import headline_of, on_headline_test

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
    "inference": "Inference compute a query (FLOPs)",
}
# Okabe and Ito's colours, told apart by every kind of colour vision; shapes repeat what they say.
PART_COLOURS = {"rank_entropy": "#0072B2", "rank_score_alignment": "#E69F00", "score_uncertainty": "#999999"}
CANDIDATES = {"hard": "#0072B2", "random": "#E69F00"}
MARKERS = "osD^vP*XhpdH<>8"


REFERENCE = "0.35"  # the grey of what nothing was trained for
ARROWS = {"bottom": "\u2193", "top": "\u2191"}
ROOM_FOR_CHANCE = 0.35  # of a panel's height, that may be added for the line of chance


class LawStyle(NamedTuple):
    """How a law looks in figures."""

    colour: str
    marker: str
    line_style: str


def law_styles() -> dict[str, LawStyle]:
    """The looks of the laws of one variable, and of `no change`, in the order of legends."""
    styles = {law.name: LawStyle(law.colour, law.marker, law.line_style) for law in LAWS.values() if law.variables == 1}
    return {**styles, NO_CHANGE: LawStyle("#777777", "^", "-")}


class StudyTables(NamedTuple):
    """The tables that the figures show."""

    metrics: pd.DataFrame
    fits: pd.DataFrame
    forecasts: pd.DataFrame
    curves: pd.DataFrame
    subsamples: pd.DataFrame
    influence: pd.DataFrame
    verdicts: pd.DataFrame
    plan: pd.DataFrame | None = None
    plan_grid: pd.DataFrame | None = None
    multipliers: pd.DataFrame | None = None
    exponents: pd.DataFrame | None = None
    references: pd.DataFrame | None = None

    def headline(self) -> "StudyTables":
        """What the findings speak of: one test set, one kind of candidates."""
        tables = self._asdict().items()
        kept = ("plan", "plan_grid", "multipliers", "exponents", "references")
        shown = {k: table if k in kept else headline_of(table, self.metrics) for k, table in tables}
        if self.references is not None:
            shown["references"] = on_headline_test(self.references, self.metrics)
        return StudyTables(**shown)

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
    return (
        f"{row.study}: {row.n_queries} {in_figure(row.split)} queries, {row.n_candidates} {row.candidates} candidates"
    )


def describe_slice(fixed: str) -> str:
    """What a fit held fixed, in words."""
    name, _, value = fixed.partition("=")
    return f"D = {int(value):,}" if name == "train_queries" else value or name


def draw_points(
    ax: plt.Axes, rows: pd.DataFrame, metric: str, x: np.ndarray, colour: tuple | str, marker: str, label: str
) -> ErrorbarContainer:
    """Values with their 95 % intervals where the tables have them; what a legend names."""
    y, errors = values_of(rows, metric), None
    known = metric_named(metric)
    if known.has_interval:
        low, high = known.interval(*(rows[f"{known.column}_{bound}"].to_numpy() for bound in ("low", "high")))
        errors = np.abs(np.stack([low, high]) - y)
    return ax.errorbar(x, y, errors, fmt=marker, color=colour, ms=4, lw=0.8, label=label, alpha=0.9, zorder=3)


def empty_panel(ax: plt.Axes, why: str) -> None:
    """A panel that has nothing to show says why, without axes."""
    ax.axis("off")
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center")


def format_axis(ax: plt.Axes, rows: pd.DataFrame, metric: str, axis: str) -> None:
    """Scales, ticks, title and labels of a panel that shows `metric` of `rows` over one axis."""
    ax.margins(y=0.12)  # room for what is written at the foot of a panel
    if (coordinates(rows, axis) > 0).any():  # models as they are have neither data nor compute here
        ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    if axis == "data":
        subsets = sorted(rows.train_queries.unique())
        ax.set_xticks(subsets, [f"{queries:,}" for queries in subsets], rotation=30)
    if not metric_named(metric).signed and (values_of(rows, metric) > 0).all():
        ax.set_yscale("log")
        plain = mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_formatter(plain)
        # Few labels between the powers of ten where the axis spans more than one of them.
        low, high = ax.get_ylim()
        ax.yaxis.set_minor_locator(mpl.ticker.LogLocator(subs=(2, 5) if high > 4 * low else "all"))
        ax.yaxis.set_minor_formatter(plain)
    ax.set_title(name_of(metric), fontsize=9.5)
    ax.set_xlabel(AXES[axis])
    ax.set_ylabel(metric_named(metric).unit)


def draw_curves(ax: plt.Axes, study: StudyTables, metric: str, axis: str, fixed: str) -> set[str]:
    """The fitted laws of one set of points, with bands, or why there is none; which were drawn."""
    curves = study.curves[(study.curves.metric == metric) & (study.curves.axis == axis) & (study.curves.fixed == fixed)]
    fits = study.fits[(study.fits.metric == metric) & (study.fits.axis == axis) & (study.fits.fixed == fixed)]
    notes, drawn = [], set()
    for law in forecasting_laws(metric):
        curve, of_law = curves[curves.law == law.name], fits[fits.law == law.name]
        if of_law.empty:
            continue
        if not of_law.converged.iloc[0]:
            notes.append(f"{law.name}: {of_law.note.iloc[0].split(':')[0]}")
            continue
        drawn.add(law.name)
        r2 = of_law.r2.iloc[0]
        notes.append(f"{law.name}: R² {r2:.3f}" if pd.notna(r2) else law.name)
        ax.plot(curve.x, curve.y, color=law.colour, ls=law.line_style, lw=1.3, zorder=2)
        ax.fill_between(curve.x, curve.low, curve.high, color=law.colour, alpha=0.12, lw=0, zorder=1)
    ax.text(0.02, 0.02, "\n".join(notes), transform=ax.transAxes, fontsize=7.5, va="bottom")
    return drawn


def draw_chance(ax: plt.Axes, rows: pd.DataFrame, metric: str) -> None:
    """Where a model stands that has learnt nothing: a dotted line, or an arrow that says how far off it is."""
    known = metric_named(metric)
    if not known.has_ceiling:
        return
    chance = known.ceiling(int(rows.n_candidates.iloc[0]))
    height = ax.transAxes.inverted().transform(ax.transData.transform((ax.get_xlim()[0], chance)))[1]
    style: dict[str, Any] = {"ha": "right", "fontsize": 7}
    if height > 1 + ROOM_FOR_CHANCE:
        # Far above: room for the line would squeeze the data.
        ax.annotate(f"chance {chance:.3g} \u2191", (0.98, 0.98), xycoords="axes fraction", va="top", **style)
        return
    ax.axhline(chance, color="k", ls=":", lw=0.8)
    low, high = ax.get_ylim()
    ax.set_ylim(low, max(high, chance * (chance / low) ** 0.08 if ax.get_yscale() == "log" else chance))
    ax.annotate(f"chance {chance:.3g}", (0.98, chance), xycoords=("axes fraction", "data"), va="bottom", **style)


def draw_references(ax: plt.Axes, study: StudyTables, metric: str) -> None:
    """Where rankings that nothing was trained for stand: lines, or, far off the models, a note at the panel's edge."""
    column = metric_named(metric).column
    if study.references is None or column not in study.references.columns:
        return
    low, high = ax.get_ylim()
    room = ROOM_FOR_CHANCE * (high - low)
    rows = study.references.dropna(subset=column)
    notes: dict[str, list[str]] = {"bottom": [], "top": []}
    for row, value in zip(rows.itertuples(), values_of(rows, metric), strict=True):
        name = in_figure(label_of(row.reference))
        if low - room <= value <= high + room:
            ax.axhline(value, color=REFERENCE, ls=(0, (5, 2, 1, 2)), lw=0.9, zorder=1)
            how: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 6.5, "color": REFERENCE}
            ax.annotate(name, (0.02, value), va="bottom", **how)
        else:
            notes["bottom" if value < low else "top"].append(f"{name} {value:.3g}")
    for side, names in notes.items():
        if names:
            text = f"{', '.join(names)} {ARROWS[side]}"
            style: dict[str, Any] = {"transform": ax.transAxes, "fontsize": 6.5, "color": REFERENCE, "ha": "right"}
            ax.text(0.98, 0.02 if side == "bottom" else 0.9, text, va=side, **style)


def add_law_legend(figure: plt.Figure, ax: plt.Axes, drawn: set[str]) -> None:
    """A legend of the points of a panel and of the laws that were drawn."""
    handles, labels = ax.get_legend_handles_labels()
    for law, style in law_styles().items():
        if law in drawn:
            handles.append(mpl.lines.Line2D([], [], color=style.colour, ls=style.line_style))
            labels.append(f"{law}, 95 % band")
    figure.legend(handles, labels, loc="outside right center")
