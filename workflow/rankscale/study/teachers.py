"""Who teaches in a study: the miner, checkpoints of other studies, files of scores.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import hashlib
from pathlib import Path
from typing import Any

from rankscale.core.layout import Layout
from rankscale.study import variants

MINER = "miner"  # the teacher whose scores are the miner's, and its name


def teachers(study: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The teachers of a study by the names of their tables."""
    named = {}
    for training in (one["training"] for one in variants.each(study)):
        if training["teacher"]:
            named[teacher_name(training["teacher"])] = training["teacher"]
        if needs_miner_scores(training):
            named[MINER] = {"scores": MINER, "tokenizer": None}
    return named


def needs_miner_scores(training: dict[str, Any]) -> bool:
    """Whether a recipe goes by what the miner finds of the positives."""
    return any(training[key] for key in ("consistency_filter", "curriculum", "propensity"))


def teacher_kind(teacher: dict[str, Any]) -> str:
    """What a teacher is: miner, checkpoint or file."""
    if teacher["scores"] == MINER:
        return MINER
    return "checkpoint" if teacher["scores"].endswith(".safetensors") else "file"


def is_own(study: dict[str, Any], teacher: dict[str, Any]) -> bool:
    """Whether a teacher is to be a run of the study itself, by its path: it need not be trained yet."""
    return teacher_kind(teacher) == "checkpoint" and teacher["scores"].startswith(f"{Layout.of(study).own}/models/")


def teacher_name(teacher: dict[str, Any]) -> str:
    """How a teacher's table is called: files of one name at two places are two teachers, and so are two tokenizers."""
    if teacher["scores"] == MINER:
        return MINER
    path = Path(teacher["scores"])
    key = "\x1f".join((str(path.expanduser().resolve()), teacher["tokenizer"] or ""))
    return f"{path.name.partition('.')[0]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def tokenizer_folder(study: dict[str, Any], teacher: dict[str, Any]) -> str:
    """The folder name of the tokenizer that a checkpoint reads."""
    return teacher["tokenizer"] or study["tokenizer"]["name"]
