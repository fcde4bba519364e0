"""How fast a training goes: the learning rate of each step."""

import math


def learning_rate(highest: float, schedule: str, warmup: float, step: int, steps: int) -> float:
    """The rate of step `step` (from 1): linear warm-up over the share `warmup` of the steps, then as scheduled."""
    warm = warmup * steps
    if step <= warm:
        return highest * step / max(warm, 1)
    left = 1 - (step - 1 - warm) / max(steps - warm, 1)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return highest * shape[schedule]
