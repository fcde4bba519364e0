"""What studies share: the settings of each shared folder, and the refusal of those that clash."""

import json
from pathlib import Path
from typing import Any

from rankscale.core.errors import StudyError


def shared_settings(study: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per manifest (relative to results/shared), the settings that what lies beside it is made with."""
    collection = {k: v for k, v in study["collection"].items() if k not in ("name", "splits")}
    if collection["source"] != "docstrings":
        collection = {k: collection[k] for k in ("source", "path", "titles", "positive_grade")}
    name = study["collection"]["name"]
    if collection["source"] == "ir_datasets":
        collection["splits"] = study["collection"]["splits"]
    miner = {k: v for k, v in study["miner"].items() if k != "name"}
    tokens = f"{name}/tokens/{study['tokenizer']['name']}/manifest.json"
    # Documents and training queries make a vocabulary, so it belongs to a training split.
    vocabulary = {**study["tokenizer"], "split": study["collection"]["splits"]["train"]}
    return {f"{name}/manifest.json": collection, mined_settings(study): miner, tokens: vocabulary}


def mined_settings(study: dict[str, Any]) -> str:
    """The manifest of a miner's first shard, which speaks for all."""
    return f"{study['collection']['name']}/{study['miner']['name']}/negatives/0.json"


def refuse_clashes(study: dict[str, Any], results: Path) -> None:
    """Raise StudyError if another study made a shared folder of this one with other settings."""
    for manifest, wanted in shared_settings(study).items():
        path = results / "shared" / manifest
        if not path.exists() or study["remake"]:
            continue
        try:
            made = json.loads(path.read_text(encoding="utf-8"))
            other, settings = made["study"], made["settings"]
            settings.get("")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StudyError(f"{path}: cannot be read ({error!r}); delete this file and run again") from error
        if other != study["study"] and settings != wanted:
            odd = sorted(k for k in {*settings, *wanted} if settings.get(k) != wanted.get(k))[0]
            raise StudyError(
                f"{path.parent}: study {other} made it with {odd}={settings.get(odd)}, study {study['study']} wants "
                f"{odd}={wanted.get(odd)}; give yours another name, or make it anew for both with --config remake=True"
            )
