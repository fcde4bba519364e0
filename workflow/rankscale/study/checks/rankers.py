"""What is checked of a config's kind of ranker: whether it can be trained and evaluated as the study says.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.ranker_flops import BI_ENCODER, CROSS_ENCODER
from rankscale.study.checks.training import IN_BATCH
from rankscale.study.variants import DYNAMIC


def refuse_ranker(study: dict[str, Any]) -> None:
    """Raise StudyError for negatives that a kind of ranker cannot have."""
    kind, negatives = study["ranker"]["kind"], study["training"]["negatives"]
    if kind != BI_ENCODER and negatives == DYNAMIC:
        raise StudyError(
            f"training.negatives: dynamic ones are the nearest of vectors, one a passage, which no {kind} has; take "
            "mined, annealed or random ones, or a bi_encoder"
        )
    if kind == CROSS_ENCODER and negatives.endswith(IN_BATCH):
        raise StudyError(
            f"training.negatives: {negatives}: a {kind} reads each query with each passage of a batch anew, which is "
            f"too dear; take {negatives.removesuffix(IN_BATCH).replace('mixed', 'mined')}, annealed or random"
        )
    if kind != BI_ENCODER and negatives.startswith("mixed"):
        raise StudyError(
            f"training.negatives: {negatives} lie between two vectors, and a {kind} has no vector of a passage; take "
            f"{negatives.replace('mixed', 'mined').removesuffix(IN_BATCH)} or random"
        )
