"""What is checked of what a study is made from: its models, its miner, its collection.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from rankscale.collection.archives import split_member
from rankscale.collection.registry import source_kind
from rankscale.core.errors import StudyError
from rankscale.study.grid import is_folder

HUB_ID = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?")


def refuse_models(study: dict[str, Any]) -> None:
    """Each model has a name of its own, a shape that can be built, and a learning rate."""
    names = [m["name"] for m in study["models"]]
    for i, model in enumerate(study["models"]):
        if names.index(model["name"]) != i:
            raise StudyError(f"models: the name {model['name']} stands twice")
        if model.get("heads") and model["hidden"] % model["heads"]:
            raise StudyError(f"models: {model['name']}: {model['heads']} heads do not divide hidden {model['hidden']}")
        refuse_missing(model.get("checkpoint", ""), f"models: {model['name']}: checkpoint ")
        refuse_missing(model.get("tokenizer", ""), f"models: {model['name']}: tokenizer ")
    rates = study["training"]["learning_rate"]
    if isinstance(rates, dict) and set(rates) != set(names):
        extra, lacking = sorted(set(rates) - set(names)), sorted(set(names) - set(rates))
        problems = [f"{', '.join(extra)} is no model"] * bool(extra)
        problems += [f"{', '.join(lacking)} is a model without a rate"]
        raise StudyError(f"training.learning_rate: {'; '.join(problems if lacking else problems[:1])}")
    unknown = sorted(set(study["training"]["snapshots"]["models"]) - set(names))
    if unknown:
        raise StudyError(f"training.snapshots.models: {unknown[0]} is no model of the ladder")


def refuse_miner(study: dict[str, Any]) -> None:
    """Its encoder must be there, its window wide enough."""
    miner = study["miner"]
    refuse_missing(miner["encoder"], "miner.encoder: ")
    if miner["range_max"] and miner["range_max"] < miner["range_min"] + miner["top_k"] and miner["short"] == "refuse":
        raise StudyError(
            f"miner.range_max: ranks {miner['range_min'] + 1} to {miner['range_max']} hold fewer than top_k "
            f"{miner['top_k']} documents; raise it, or set miner.short to fill"
        )
    if miner["encoder"] == "lsa" and miner["shards"] > 1:
        raise StudyError("miner.shards: lsa reads the whole collection at once; set it to 1")


def refuse_source(study: dict[str, Any]) -> None:
    """A source, its path and its splits must fit, and what the path names must be there."""
    collection = study["collection"]
    source, path, splits = collection["source"], collection["path"], collection["splits"]
    if splits["train"] in splits["test"]:
        raise StudyError(
            f"collection.splits: {splits['train']} is to be trained on and tested; test needs other queries"
        )
    kind = source_kind(source)
    if not isinstance(path, kind.path_type):
        raise StudyError(f"collection.path: {shortened(path)} does not fit source {source}; it takes {kind.path_words}")
    for key, file in kind.files(path):
        if not Path(split_member(file)[0]).exists():
            raise StudyError(f"collection.path{key}: {file}: there is no such file or folder")
    judged = kind.splits(path)
    wanted = [split for split in (splits["train"], *splits["test"]) if split is not None]  # of evaluation alone
    if judged is None:  # what the library has shows when it is read
        judged = set(wanted)
    grades = collection["positive_grade"]
    for split in grades if isinstance(grades, dict) else ():
        if split not in judged:
            raise StudyError(f"collection.positive_grade: the collection has no split {split}")
    for split in wanted:
        if split not in judged:
            raise StudyError(
                f"collection.splits: the collection has no split {split}; it has {', '.join(sorted(judged))}"
            )


def refuse_missing(source: str, what: str) -> None:
    """A name that is a path, not a hub id, must lead to a folder; any other must be one that the hub can have."""
    if not source.startswith((".", "/", "~")):
        if source and not is_folder(source) and not HUB_ID.fullmatch(source):
            raise StudyError(f"{what}{shortened(source)}: there is no such folder, and no id of the hub looks so")
        return
    try:
        folder = Path(source).expanduser()
    except RuntimeError:  # ~somebody
        raise StudyError(f"{what}{shortened(source)}: there is no such user") from None
    if not folder.is_dir():
        raise StudyError(f"{what}{shortened(source)}: there is no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise StudyError(f"{what}{shortened(source)}: the folder may not be read")


def shortened(value: Any, most: int = 120) -> str:
    """A value as one line of a message, no longer than `most` letters."""
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)  # of one line
    return text if len(text) <= most else text[: most - 3] + "..."
