"""What training minimises, and how fast it goes: the contrastive loss and the schedule of the learning rate."""

import math

import torch
from torch.nn import functional


def contrastive_loss(
    queries: torch.Tensor, passages: torch.Tensor, judged: torch.Tensor | None, inverse_temperature: float
) -> torch.Tensor:
    """Mean softmax cross-entropy (nats) of each query's positive against its negatives.

    `queries` [b, d]; `passages` [b, k, d], the positive first. With `judged` bool [b, b k] every passage of the
    batch is a negative of every query, except where `judged` marks a false one; without it only its own k - 1.
    """
    b, k, d = passages.shape
    if judged is None:
        scores = torch.einsum("bd,bkd->bk", queries, passages)
        target = torch.zeros(b, dtype=torch.long, device=queries.device)
    else:
        scores = (queries @ passages.reshape(b * k, d).T).masked_fill(judged, -torch.inf)
        target = torch.arange(b, device=queries.device) * k
    return functional.cross_entropy(scores.float() * inverse_temperature, target)


def learning_rate(highest: float, schedule: str, warmup: float, step: int, steps: int) -> float:
    """The rate of step `step` (from 1): linear warm-up over the share `warmup` of the steps, then as scheduled."""
    warm = warmup * steps
    if step <= warm:
        return highest * step / max(warm, 1)
    left = 1 - (step - 1 - warm) / max(steps - warm, 1)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return highest * shape[schedule]


def diverged(losses: list[float], norms: list[float], chance: float, multiple: float, since: int) -> int | None:
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
