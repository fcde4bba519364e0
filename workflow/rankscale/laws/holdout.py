"""Which points are held out, and from which others each is forecast."""

from typing import NamedTuple

import numpy as np

from rankscale.laws.axes import PointSet


class ForecastSplit(NamedTuple):
    """Where a forecast starts from: the points that are known, those to be forecast, and whether it is the study's
    own hold-out (the others roll forward to it and beyond)."""

    known: np.ndarray
    ahead: np.ndarray
    held_out: bool


def forecast_splits(points: PointSet, hold: dict[str, int]) -> list[ForecastSplit]:
    """The forecasts to be made on an axis, from few known sizes to all but one; only the study's own hold-out where
    the points are no headline.

    On the grid the largest sizes and the largest subsets are left out together, and the cells that are large in both
    are forecast; where only one of the two is held out, in that one.
    """
    own = [hold["model"], hold["data"]] if points.axis == "grid" else [hold.get(points.axis, 0)]
    if not any(own):
        return []
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in points.x.T])
    counts = ranks.max(0) + 1
    rolling = [(out,) * len(counts) for out in range(1, int(counts.max()))] if points.headline else []
    splits = []
    for left in dict.fromkeys([*rolling, tuple(own)]):
        if (counts - left < 2).any():
            continue
        reduced = np.array(left) > 0
        known, ahead = (ranks < counts - left).all(1), (ranks >= counts - left)[:, reduced].all(1)
        if known.sum() > 1 and ahead.any():
            splits.append(ForecastSplit(np.flatnonzero(known), np.flatnonzero(ahead), left == tuple(own)))
    return splits
