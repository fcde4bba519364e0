"""Who teaches in a study: the miner, checkpoints, models of a hub or folder, files of scores.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from rankscale.core.layout import Layout
from rankscale.study import variants

MINER = "miner"  # the teacher whose scores are the miner's, and its name
# The keys of a teacher that are of a model which reads texts, and what else each kind of teacher has.
MODEL_KEYS = (
    *("model", "kind", "shards", "top_k", "pooling", "normalize", "precision"),
    *("query_prefix", "passage_prefix", "query_length", "passage_length"),
)
SCORES_KEYS = ("scores", "tokenizer")


def teachers(study: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The teachers of a study by the names of their tables, of which a sharded one has several."""
    named: dict[str, dict[str, Any]] = {}
    for training in (one["training"] for one in variants.each(study)):
        if training["teacher"]:
            named |= dict.fromkeys(tables_of(training["teacher"]), training["teacher"])
        if needs_miner_scores(training):
            named[MINER] = {"scores": MINER, "tokenizer": None}
    return named


def needs_miner_scores(training: dict[str, Any]) -> bool:
    """Whether a recipe goes by what the miner finds of the positives."""
    return any(training[key] for key in ("consistency_filter", "curriculum", "propensity"))


def teacher_kind(teacher: dict[str, Any]) -> str:
    """What a teacher is: miner, checkpoint, file, bi_encoder or cross_encoder."""
    if teacher.get("model"):
        return teacher["kind"]
    if teacher["scores"] == MINER:
        return MINER
    return "checkpoint" if teacher["scores"].endswith(".safetensors") else "file"


def is_own(study: dict[str, Any], teacher: dict[str, Any]) -> bool:
    """Whether a teacher is to be a run of the study itself, by its path: it need not be trained yet."""
    return teacher_kind(teacher) == "checkpoint" and teacher["scores"].startswith(f"{Layout.of(study).own}/models/")


def settings(teacher: dict[str, Any]) -> dict[str, Any]:
    """What of a teacher's keys counts, by its kind."""
    return {key: teacher[key] for key in (MODEL_KEYS if teacher.get("model") else SCORES_KEYS)}


def teacher_name(teacher: dict[str, Any]) -> str:
    """How a teacher's table is called: files of one name at two places are two teachers, and so are two tokenizers.

    So are two ways to read texts with one model.
    """
    if teacher.get("model"):
        own = settings(teacher)
        folder = Path(own["model"]).expanduser()
        if folder.is_dir():
            own["model"] = str(folder.resolve())
        name = own["model"].replace("/", "--") if not folder.is_dir() else folder.name
        key = json.dumps(own, sort_keys=True)
    elif teacher["scores"] == MINER:
        return MINER
    else:
        path = Path(teacher["scores"])
        name = path.name.partition(".")[0]
        key = "\x1f".join((str(path.expanduser().resolve()), teacher["tokenizer"] or ""))
    # It goes into paths of ours, where Snakemake takes <i> for a name of its own.
    name = re.sub(r"[^\w,+-]", "_", name)
    return f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def own_files(teacher: dict[str, Any]) -> list[str]:
    """The file of scores, or the checkpoint, that a teacher is read from; none of the miner or a model."""
    if teacher.get("model") or teacher["scores"] == MINER:
        return []
    return [str(Path(teacher["scores"]).expanduser())]


def tables_of(teacher: dict[str, Any]) -> list[str]:
    """The names of a teacher's tables, one a shard."""
    name = teacher_name(teacher)
    several = range(teacher["shards"] if teacher.get("model") else 1)
    return [f"{name}-{shard}of{len(several)}" for shard in several] if len(several) > 1 else [name]


def tokenizer_folder(study: dict[str, Any], teacher: dict[str, Any]) -> str:
    """The folder name of the tokenizer that a checkpoint reads."""
    return teacher["tokenizer"] or study["tokenizer"]["name"]
