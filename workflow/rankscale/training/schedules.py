"""How fast a training goes: the learning rate of each step."""

import math


def learning_rate(highest: float, schedule: str, warmup: float, step: int, steps: int) -> float:
    """The rate of step `step` (from 1): linear warm-up over the share `warmup` of the steps, then as scheduled."""
    warm_steps = warmup * steps
    if step <= warm_steps:
        return highest * step / max(warm_steps, 1)
    remaining = 1 - (step - 1 - warm_steps) / max(steps - warm_steps, 1)
    share = {"constant": 1.0, "linear": remaining, "cosine": (1 - math.cos(math.pi * remaining)) / 2}
    return highest * share[schedule]
