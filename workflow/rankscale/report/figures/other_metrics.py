"""The figure of the metrics beside the four: whatever else laws were fitted to."""

import matplotlib.pyplot as plt
import numpy as np

from rankscale.core.metrics import PARTS
from rankscale.laws.axes import coordinates, headline_slice
from rankscale.laws.query_covariance import values_of
from rankscale.report.figures.style import (
    StudyTables,
    add_law_legend,
    draw_chance,
    draw_curves,
    draw_points,
    draw_references,
    empty_panel,
    format_axis,
    subplots,
    subtitle,
)
from rankscale.report.labels import name_of

AXES = ("model", "data")
WIDTH, HEIGHT = 3.4, 2.9  # of a panel, in inches


def other_metrics(study: StudyTables) -> plt.Figure:
    """Each further metric over model size and over training queries, on the headline's points that have it."""
    headline = study.headline()
    finals = headline.finals()
    metrics = [metric for metric in dict.fromkeys(headline.fits.metric) if metric not in PARTS]
    rows = max(len(metrics), 1)
    figure, axes = subplots(len(AXES), rows, WIDTH * len(AXES) + 2, HEIGHT * rows)
    drawn: set[str] = set()
    for ax, (axis, metric) in zip(axes, [(a, m) for m in metrics for a in AXES], strict=False):
        fixed = headline_slice(axis, finals)
        name, _, value = fixed.partition("=")
        points = finals[finals[name].astype(str) == value]
        if not np.isfinite(values_of(points, metric)).all():
            empty_panel(ax, f"{name_of(metric)}:\nnot measured of\nall these runs")
            continue
        draw_points(ax, points, metric, coordinates(points, axis)[:, 0], "k", "o", "observed")
        drawn |= draw_curves(ax, headline, metric, axis, fixed)
        format_axis(ax, points, metric, axis)
        draw_chance(ax, points, metric)
        draw_references(ax, headline, metric)
    if metrics:
        add_law_legend(figure, next((ax for ax in axes if ax.axison), axes[0]), drawn)
    else:
        for ax in axes:
            empty_panel(ax, "no law was fitted to another metric")
    figure.suptitle(subtitle(headline), fontsize=9)
    return figure
