"""The figure of two studies side by side."""

from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from rankscale.core import atomic_files
from rankscale.core.metrics import PARTS
from rankscale.laws.axes import coordinates
from rankscale.laws.forms.registry import forecasting_laws
from rankscale.report.figures import style
from rankscale.report.labels import in_figure
from rankscale.report.study_comparison import AXES, ComparedStudy
from rankscale.report.verdicts import headline_of, preferred_law


def draw_two_studies(first: ComparedStudy, second: ComparedStudy, slices: list[dict[str, str]], path: Path) -> None:
    """The four over model size and data, both studies in each panel, as SVG, PDF or PNG by the path's suffix."""

    figure, axes = style.subplots(4, 2, 13, 6)
    handles = []
    for one, own, colour, marker in ((first, slices[0], "#0072B2", "o"), (second, slices[1], "#D55E00", "s")):
        for n, axis in enumerate(AXES):
            fixed = own[axis]
            name, _, value = fixed.partition("=")
            rows = one.finals[one.finals[name].astype(str) == value]
            label = f"{in_figure(one.name())} (over N: {style.describe_slice(own['model'])}; over D: {value})"
            for ax, metric in zip(axes[4 * n :], PARTS, strict=False):
                points = style.draw_points(ax, rows, metric, coordinates(rows, axis)[:, 0], colour, marker, label)
                _curve(ax, one, metric, axis, fixed, colour)
        handles.append(points)
    both = pd.concat([first.finals, second.finals])
    for ax, (axis, metric) in zip(axes, product(AXES, PARTS), strict=True):
        # The second one's marks are open, so that what lies below them shows.
        ax.containers[1][0].set_markerfacecolor("none")
        style.format_axis(ax, both, metric, axis)
    figure.legend(handles=handles, loc="outside upper center", ncols=1)
    with atomic_files.whole(path) as beside:
        figure.savefig(beside, format=path.suffix[1:].lower())


def _curve(ax: plt.Axes, one: ComparedStudy, metric: str, axis: str, fixed: str, colour: str) -> None:
    """The law that is preferred on all points, with its band."""
    curves = one.tables["curves"]
    fits = headline_of(one.tables["fits"], one.tables["metrics"])
    fits = fits[(fits.metric == metric) & (fits.axis == axis) & (fits.fixed == fixed) & fits.converged]
    law = preferred_law(fits, forecasting_laws(metric))
    if law is None:
        return
    curves = headline_of(curves, one.tables["metrics"])
    key = (curves.metric == metric) & (curves.axis == axis) & (curves.fixed == fixed) & (curves.law == law)
    curve = curves[key].sort_values("x")
    ax.plot(curve.x, curve.y, color=colour, lw=1.2)
    ax.fill_between(
        curve.x.to_numpy(), curve.low.to_numpy(float), curve.high.to_numpy(float), color=colour, alpha=0.12, lw=0
    )
