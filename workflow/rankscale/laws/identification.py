"""What a fit's points tell of its parameters, by how its values move with them."""

import numpy as np

FLAT = 1e-6  # in logarithms: less than that is no change
CONDITION = 1e7  # of the slopes at the optimum; what is told lies below 1e6, what is not above 1e10


def open_parameters(slopes: np.ndarray, names: list[str], floor: str | None) -> list[str]:
    """Those of `names` [p] that, moved in some way together, change no fitted value; `slopes` [n, p] in logarithms.

    By the least singular value of the slopes, each scaled to length 1: what lies beyond half of double precision is no
    knowledge. `floor` is the parameter, if there is one, whose slope is in units of the metric.
    """
    lengths = np.linalg.norm(slopes, axis=0)
    idle = [name for name, length in zip(names, lengths, strict=True) if length < FLAT and name != floor]
    if idle:
        return idle
    _, singular, directions = np.linalg.svd(slopes / np.maximum(lengths, 1e-300), full_matrices=False)
    if singular[-1] * CONDITION > singular[0]:
        return []
    share = np.abs(directions[-1])
    return [name for name, part in zip(names, share, strict=True) if part > 0.1 * share.max()]
