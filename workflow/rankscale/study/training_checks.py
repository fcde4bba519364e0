"""What is checked of a config's recipe: whether a loss has what it needs.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from collections.abc import Collection
from typing import Any

from rankscale.core.errors import StudyError

IN_BATCH = "+in_batch"  # of training.negatives


def refuse_objective(training: dict[str, Any], needs: Collection[str]) -> None:
    """Raise StudyError for a loss without what it `needs`, and for a temperature that cannot be trained from."""
    name, in_batch = training["objective"]["name"], training["negatives"].endswith(IN_BATCH)
    if "in_batch" in needs and not in_batch:
        raise StudyError(f"training.negatives: {name} needs the passages of the whole batch; choose mined{IN_BATCH}")
    if "own_negatives" in needs and in_batch:
        raise StudyError(f"training.negatives: {name} takes a query's own negatives only; leave out {IN_BATCH}")
    if training["learned_temperature"] and not 1 <= training["inverse_temperature"] <= 100:
        raise StudyError("training.inverse_temperature: one that is trained (learned_temperature) lies in 1 to 100")
