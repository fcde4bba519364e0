"""The options of a training that goes on with a finished run's queries alone: its command line, its defaults.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass
from pathlib import Path

from rankscale.core.options import option
from rankscale.training.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class RefineOptions(TrainOptions):
    """A run from a finished one's weights; those of its passages stay. What makes a model is that one's own."""

    # The weights are part of the fingerprint themselves, and so is what their training took.
    start: Path = option(in_result=False, help="folder of the finished run: checkpoint and tables")
    negatives: str = option("dynamic", choices=["dynamic"])

    @property
    def reads_mined(self) -> bool:
        """Whether it reads the miner's lists: only where weights go by them."""
        return bool(self.curriculum or self.propensity)

    @property
    def drawn(self) -> int:
        """How many negatives of a query are drawn ahead: none, all are found at each step."""
        return 0
