"""Which points are held out, and from which others each is forecast."""

from typing import NamedTuple

import numpy as np

from rankscale.laws.axes import PointSet

# What a law of two sizes needs to be fitted: levels of each, and cells (laws.fitting.why_unfittable).
LEVELS, CELLS = 3, 8


class ForecastSplit(NamedTuple):
    """Where a forecast starts from: the points that are known, those to be forecast, and whether it is the study's
    own hold-out (the others roll forward to it and beyond)."""

    known: np.ndarray
    ahead: np.ndarray
    held_out: bool


def forecast_splits(points: PointSet, hold: dict[str, int]) -> list[ForecastSplit]:
    """The forecasts to be made on an axis, from few known sizes to all but one; only the study's own hold-out on the
    grid and where the points are no headline.

    On the grid the largest sizes and the largest subsets are left out together, and the cells that are large in both
    are forecast; where only one of the two is held out, in that one. Where cells are missing there may be none that is
    large in both: then all that are left out are forecast. And the cells small in both may be too few to carry a law
    of two sizes: then all that are not forecast are known.
    """
    own = [hold["model"], hold["data"]] if points.axis == "grid" else [hold.get(points.axis, 0)]
    if not any(own):
        return []
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in points.x.T])
    counts = ranks.max(0) + 1
    # No figure and no choice of a law looks at a grid rolled forward, and each of its splits costs as much as the fit.
    rolling = [(out,) for out in range(1, int(counts[0]))] if points.headline and len(counts) == 1 else []
    splits: dict[int, ForecastSplit] = {}  # by how many cells are known, as tables tell them apart
    for left in dict.fromkeys([*rolling, tuple(own)]):
        if (counts - left < 2).any():
            continue
        reduced = np.array(left) > 0
        known, ahead = (ranks < counts - left).all(1), (ranks >= counts - left)[:, reduced].all(1)
        if not ahead.any():
            ahead = ~known
        if len(np.unique(ranks, axis=0)) < counts.prod() and not _enough(ranks[known]):
            known = ~ahead
        cells, held_out = len(np.unique(ranks[known], axis=0)), left == tuple(own)
        if known.sum() > 1 and ahead.any() and (held_out or cells not in splits):
            splits[cells] = ForecastSplit(np.flatnonzero(known), np.flatnonzero(ahead), held_out)
    return list(splits.values())


def _enough(cells: np.ndarray) -> bool:
    """Whether cells [n, 2] carry a law of two sizes."""
    distinct = [len(np.unique(column)) for column in cells.T]
    return min(distinct) >= LEVELS and len(np.unique(cells, axis=0)) >= CELLS
