"""Whether a training has gone astray, and since which step."""

import math


def first_divergent_step(
    losses: list[float], norms: list[float], chance: float, multiple: float, since: int
) -> int | None:
    """The first step (from 1) after step `since` at which a run has gone astray, if any.

    That is a loss or a gradient that is no number, or a mean of the last ten losses over `multiple` times that of the
    first ten. `chance` is the loss (nats) of a model that scores everything alike; a start below it counts as that,
    since a good start may well be left for a harder batch.
    """
    limit = multiple * max(sum(losses[:10]) / max(len(losses[:10]), 1), chance)
    for step in range(since + 1, len(losses) + 1):
        last = losses[max(step - 10, 0) : step]
        if not (math.isfinite(losses[step - 1]) and math.isfinite(norms[step - 1])):
            return step
        if step > 10 and sum(last) / len(last) > limit:
            return step
    return None
