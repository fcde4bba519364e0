"""What studies share: the settings of each shared folder, and the refusal of those that clash.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import json
from pathlib import Path
from typing import Any

from rankscale.collection.registry import source_kind
from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.study import grid
from rankscale.study.checks.names import refuse_twin_folders
from rankscale.study.teachers import settings, teachers
from rankscale.study.test_sets import collections as test_sets


def shared_settings(study: dict[str, Any], layout: Layout) -> dict[str, dict[str, Any]]:
    """By the path of its manifest, the settings with which something is made that studies may share."""
    collection = study["collection"]
    kept = ("source", "path", "titles", "positive_grade", *source_kind(collection["source"]).option_names)
    # Documents and training queries make a vocabulary, so it belongs to a training split.
    split = {"split": collection["splits"]["train"]}
    vocabulary = {**study["tokenizer"], **split}
    further = test_sets.further(study)
    elsewhere = {name: layout._replace(collection=name) for name in further}
    borrowed = {"collection": collection["name"], **vocabulary}
    return {
        **{
            path: settings
            for name, one in further.items()
            for path, settings in shared_settings(one, elsewhere[name]).items()
            if path in (collected(elsewhere[name]), mined(elsewhere[name]))
        },
        **{tokenized(place, grid.borrowed_vocabulary(study)): borrowed for place in elsewhere.values()},
        collected(layout): {key: collection[key] for key in kept},
        mined(layout): {key: value for key, value in study["miner"].items() if key != "name"},
        tokenized(layout, study["tokenizer"]["name"]): vocabulary,
        **{taught(layout, name): {**settings(teacher), **split} for name, teacher in teachers(study).items()},
    }


def collected(layout: Layout) -> str:
    """The manifest of a collection."""
    return f"{layout.shared}/manifest.json"


def mined(layout: Layout) -> str:
    """The manifest of a miner's first shard, which speaks for all."""
    return f"{layout.mined}/negatives/0.json"


def taught(layout: Layout, teacher: str) -> str:
    """The manifest of a teacher's scores."""
    return layout.teacher(teacher).replace(".parquet", ".json")


def tokenized(layout: Layout, tokenizer: str) -> str:
    """The manifest of a tokenizer's token ids."""
    return f"{layout.tokens(tokenizer)}/manifest.json"


def refuse_clashes(study: dict[str, Any], layout: Layout) -> None:
    """Raise StudyError if another study made a shared folder of this one with other settings, or has it by its name."""
    refuse_twin_folders(study, layout)
    for path, wanted in shared_settings(study, layout).items():
        if not Path(path).exists() or study["remake"]:
            continue
        try:
            manifest = json.loads(Path(path).read_text(encoding="utf-8"))
            other, settings = manifest["study"], manifest["settings"]
            settings.get("")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StudyError(f"{path}: cannot be read ({error!r}); delete this file and run again") from error
        # A key that the other's version did not have is one at its default of null.
        clashing = sorted(k for k in {*settings, *wanted} if settings.get(k) != wanted.get(k))
        if other != study["study"] and clashing:
            key = clashing[0]
            raise StudyError(
                f"{Path(path).parent}: study {other} made it with {key}={settings.get(key)}, study {study['study']} "
                f"wants {key}={wanted.get(key)}; give yours another name, or make it anew for both with --config "
                "remake=True"
            )
