"""What the stages that score and gather are told; imported by the workflow, so nothing heavy here."""

import json
from argparse import ArgumentTypeError
from dataclasses import dataclass

from rankscale.core.cli import at_least
from rankscale.core.metrics import CORRECTIONS, TIES
from rankscale.core.options import option

RERANKED = "reranked-"  # and the depth of the first-stage run


def searched(text: str) -> str:
    """What a run searched: full, pooled, or reranked-N."""
    depth = text.removeprefix(RERANKED)
    if text not in ("full", "pooled") and not (depth != text and depth.isdecimal()):
        raise ArgumentTypeError(f"{text} is neither full, pooled nor {RERANKED}N")
    return text


@dataclass(frozen=True)
class ScoreOptions:
    """How one checkpoint's observations and run are measured."""

    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
    correction: str = option("jackknife", choices=CORRECTIONS, help="of the parts' sampling bias")
    retrieval: str = option("full", read=searched, help="what the run searched: full, pooled or reranked-N")


@dataclass(frozen=True)
class GatherOptions:
    """Which study is gathered."""

    study_name: str = option(help="as tables name it")
    collections: list[str] = option(help="the names of those that its checkpoints are evaluated on")
    readings: dict = option(read=json.loads, help="by variant, how its rankers read: a JSON object")
    unfinished: list[str] = option([], help="runs to come, as variant/model/subset/seed")
    taught: list[str] = option([], help="manifests of teachers' scores, as variant=path, one a table")


@dataclass(frozen=True)
class SubsampleOptions:
    """How queries are dropped."""

    draws: int = option(30, help="random subsets of each size", read=at_least(1))
    seed: int = option(7, help="of the draws", read=at_least(0))
    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
