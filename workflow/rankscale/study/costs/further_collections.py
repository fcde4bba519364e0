"""What evaluating on further collections takes: their own mining and retrieval, and their room on disk."""

from collections.abc import Iterator
from typing import Any

from rankscale.core.layout import Layout
from rankscale.study import cost_estimates
from rankscale.study.test_sets.collections import asks_for_mined, further

NOT_ITS_OWN = ("checkpoints",)  # of what stays on disk: those of the study's one training
STAGES = ("encode", "mine", "retrieve")


def work(study: dict[str, Any]) -> list[cost_estimates.JobWork]:
    """The FLOPs of each job that encodes, mines or evaluates on a further collection.

    Raises StudyError where a collection is not there to be counted.
    """
    return [
        job
        for one, size in _sized(study)
        for job in cost_estimates.job_work(one, size)
        if job.stage in STAGES and (job.stage == "retrieve" or asks_for_mined(one))
    ]


def disk(study: dict[str, Any]) -> float:
    """Bytes of all further collections, of what is made of them, and of what checkpoints come to on them."""
    stays = [cost_estimates.disk(one, size, 1)[0] for one, size in _sized(study)]
    return sum(value for kinds in stays for name, value in kinds.items() if name not in NOT_ITS_OWN)


def _sized(study: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    for one in further(study).values():
        yield one, cost_estimates.sizes(one, Layout.of(one))
