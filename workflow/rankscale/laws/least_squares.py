"""Robust least squares for many small problems at once."""

from collections.abc import Callable

import numpy as np

HUBER = 1e-3  # of log residuals: beyond a tenth of a per cent an error counts by its size, not by its square
OUT_OF_DOMAIN = 700.0  # a log residual beyond all that can be


def levenberg_marquardt(
    curve: Callable,
    theta: np.ndarray,
    target: np.ndarray,
    u: np.ndarray,
    *,
    floor: int | None,
    floor_is_held: bool,
    weights: np.ndarray | None,
    tolerance: float,
    iterations: int,
    huber_scale: float = HUBER,
    highest_floor: float = np.inf,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levenberg-Marquardt on reweighted residuals: minimises the summed Huber loss of log residuals.

    From starts `theta` [b, p] for `target` [b, n] = log y at `u` [n, v]: theta [b, p], objective [b], converged [b].
    The parameter `floor`, if there is one, stays between 0 and `highest_floor`, or as it starts where it `is_held`.
    `weights` [b, n], 0 or 1, leave points out. An infinite `huber_scale` makes it least squares.
    """
    theta, damping = theta.copy(), np.full(len(theta), 1e-3)
    residual, slopes = _residual(curve, theta, target, u, weights)
    objective = huber(residual, huber_scale)
    converged = np.zeros(len(theta), bool)
    active = np.arange(len(theta))
    p = theta.shape[1]
    for _ in range(iterations):
        r, j, t = residual[active], slopes[active], theta[active]
        weight = np.minimum(1, huber_scale / np.maximum(np.abs(r), 1e-300))
        gradient = np.einsum("bnp,bn->bp", j, weight * r)
        free = np.ones((len(active), p))
        if floor is not None:
            # A floor that is at 0 and would fall further stays there.
            free[(t[:, floor] <= 0) & (gradient[:, floor] > 0) | floor_is_held, floor] = 0
        j = j * free[:, None, :]
        gradient *= free
        normal = j.transpose(0, 2, 1) @ (weight[:, :, None] * j)
        # Scaled to a unit diagonal, so that one damping suits all and no direction is singular.
        scale = np.sqrt(np.einsum("bpp->bp", normal) + 1e-30)
        normal /= scale[:, :, None] * scale[:, None, :]
        normal[:, range(p), range(p)] = 1 + damping[active, None]
        step = -np.linalg.solve(normal, (gradient / scale)[:, :, None])[:, :, 0] / scale
        tried = t + step
        if floor is not None:
            tried[:, floor] = np.clip(tried[:, floor], 0, highest_floor)
        new_residual, new_slopes = _residual(
            curve, tried, target[active], u, None if weights is None else weights[active]
        )
        new_objective = huber(new_residual, huber_scale)
        better = new_objective <= objective[active]
        gain = objective[active] - new_objective
        small = np.abs(step * scale).max(1) < 1e-9
        done = small | (better & (gain < tolerance * (objective[active] + 1e-12)) & (damping[active] < 1e-2))
        done |= damping[active] > 1e8
        changed = active[better]
        theta[changed], objective[changed] = tried[better], new_objective[better]
        residual[changed], slopes[changed] = new_residual[better], new_slopes[better]
        damping[active] = np.maximum(damping[active] * np.where(better, 0.2, 5), 1e-9)
        converged[active[done]] = True
        active = active[~done]
        if not len(active):
            break
    return theta, objective, converged & np.isfinite(objective)


def _residual(
    curve: Callable, theta: np.ndarray, target: np.ndarray, u: np.ndarray, points: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    value, slopes = curve(theta, u)
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = np.log(value) - target
        slopes = slopes / value[:, :, None]
    bad = ~np.isfinite(residual).all(1)
    if bad.any():
        # A step left the domain (a value of 0 by underflow): a huge error refuses it.
        residual[bad], slopes[bad] = OUT_OF_DOMAIN, np.nan_to_num(slopes[bad])
    return (residual, slopes) if points is None else (points * residual, points[:, :, None] * slopes)


def huber(residual: np.ndarray, scale: float = HUBER) -> np.ndarray:
    """The summed Huber loss [b] of log residuals [b, n]; half the sum of squares at an infinite scale."""
    size = np.abs(residual)
    inside = np.minimum(size, scale)
    return (inside * (size - inside / 2)).sum(1)
