"""What the stage `slice` is told; imported by the workflow, so nothing heavy here."""

from dataclasses import dataclass

from rankscale.core.metrics import CORRECTIONS, TIES
from rankscale.core.options import option


@dataclass(frozen=True)
class SliceOptions:
    """Which training queries others are novel beside, and how a slice is measured."""

    train_split: str = option("train", help="of the first collection: whose queries are trained on")
    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
    correction: str = option("jackknife", choices=CORRECTIONS, help="of the parts' sampling bias")
