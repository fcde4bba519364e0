"""What scores are multiplied by before a loss takes them: a number, or one that is trained."""

import math

import torch
from torch import nn

HIGHEST = 100.0  # of a trained inverse temperature; the lowest is 1


class InverseTemperature(nn.Module):
    """An inverse temperature that stays at `start` or, `learned`, is e^theta with theta trained from there.

    theta is kept within 0 and log 100, as by Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision (arXiv 2103.00020), section 2.5.
    """

    def __init__(self, start: float, learned: bool) -> None:
        super().__init__()
        self.start = start
        self.theta = nn.Parameter(torch.tensor(math.log(start))) if learned else None

    def forward(self) -> torch.Tensor | float:
        """The factor, with a gradient if it is learned."""
        return self.start if self.theta is None else self.theta.exp()

    def clip(self) -> None:
        """Put theta back within its bounds, after a step."""
        if self.theta is not None:
            with torch.no_grad():
                self.theta.clamp_(0.0, math.log(HIGHEST))

    @property
    def value(self) -> float:
        """The factor as a number."""
        return self.start if self.theta is None else float(self.theta.detach().exp())
