"""Whether a training has gone astray, since which step, and what to try."""

import math

from rankscale.core.cli import log
from rankscale.training.options import TrainOptions
from rankscale.training.training_log import TrainingLog


class DivergenceMonitor:
    """Finds the first step of a run that has gone astray. `chance` is the loss of a model that scores everything alike.

    Where a step with too large a gradient is left out (`skips_steps`, half precision), its norm is no divergence.
    """

    def __init__(self, options: TrainOptions, chance: float, skips_steps: bool) -> None:
        self.options, self.chance, self.skips_steps = options, chance, skips_steps
        self.checked = 0  # steps known not to have diverged

    def check(self, record: TrainingLog) -> int | None:
        """The step (from 1) at which the run has diverged, if it has; `record` must have all losses so far."""
        losses, norms = record.columns["loss"], record.columns["gradient_norm"]
        if self.skips_steps:
            norms = [0.0] * len(norms)
        step = first_divergent_step(losses, norms, self.chance, self.options.divergence, self.checked)
        self.checked = record.step
        return step

    def warn(self, step: int, steps: int, loss: float, n_queries: int) -> None:
        """Say at which of how many steps a run diverged, and what to try."""
        options = self.options
        log.warning(
            "%s on %d queries, seed %d, diverged at step %d of %d (loss %.3g): it is published as such and left out of "
            "the laws; try a lower training.learning_rate (now %g)%s%s",
            *(options.model, n_queries, options.seed, step, steps, loss, options.learning_rate),
            "" if options.warmup else ", a warmup",
            "" if options.clip else ", a clip",
        )


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
