"""What the stages that score and gather are told; imported by the workflow, so nothing heavy here."""

from dataclasses import dataclass

from rankscale.core.cli import at_least
from rankscale.core.metrics import CORRECTIONS, TIES
from rankscale.core.options import option


@dataclass(frozen=True)
class ScoreOptions:
    """How one checkpoint's observations and run are measured."""

    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
    correction: str = option("jackknife", choices=CORRECTIONS, help="of the parts' sampling bias")
    retrieval: str = option("full", choices=["full", "pooled"], help="what the run searched")


@dataclass(frozen=True)
class GatherOptions:
    """Which study is gathered."""

    study_name: str = option(help="as tables name it")
    collections: list[str] = option(help="the names of those that its checkpoints are evaluated on")
    unfinished: list[str] = option([], help="runs to come, as variant/model/subset/seed")
    taught: list[str] = option([], help="manifests of teachers' scores, as variant=path, one a table")


@dataclass(frozen=True)
class SubsampleOptions:
    """How queries are dropped."""

    draws: int = option(30, help="random subsets of each size", read=at_least(1))
    seed: int = option(7, help="of the draws", read=at_least(0))
    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
