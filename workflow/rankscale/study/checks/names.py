"""Two names, one place: names that a file system, or a path made of them, may take for one are refused.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.study import grid

# Names that lie beside others, with what has them already.
TAKEN = {
    "study": {"shared": "the folder that studies share"},
    "collection.name": {"hub": "the folder of what is fetched ahead"},
    "miner.name": dict.fromkeys(("tokens", "logs", "downloads"), "something else in the collection's folder"),
}
FILES = (".parquet", ".json")


def folded(name: str) -> str:
    """What a file system that knows neither case nor Unicode's normal forms makes of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def refuse_equal_names(study: dict[str, Any]) -> None:
    """Raise StudyError where two things of the config would have one place, or one that is taken."""
    splits, further = study["collection"]["splits"], study["evaluation"]["collections"]
    _refuse_twins("variants", ((variant["name"], "") for variant in study["variants"]))
    _refuse_twins("models", ((model["name"], "") for model in study["models"]))
    _refuse_twins("collection.splits", ((split, "") for split in (splits["train"], *splits["test"])))
    for one in further:
        _refuse_twins(
            f"evaluation.collections: {one['name']}: splits", ((split, "") for split in one["splits"]["test"])
        )
    owners = [(study["collection"]["name"], "the study's own")]
    owners += [(one["name"], f"number {number}") for number, one in enumerate(further, 1)]
    _refuse_twins("the collections' names", owners)
    folders = (grid.tokenizer_of(study, model) for model in study["models"])
    own = study["tokenizer"]["name"], "the vocabulary that is trained (tokenizer.name)"
    _refuse_twins("the folder of token ids", (own, *((name, source or own[1]) for name, source in folders)))
    borrowed = grid.borrowed_vocabulary(study), "that vocabulary on other collections"
    hub = [(name, source) for name, source in (grid.tokenizer_of(study, model) for model in study["models"]) if source]
    _refuse_twins("the folder of token ids", (borrowed, *hub) if further else ())
    named = {"study": study["study"]} | {f"{part}.name": study[part]["name"] for part in ("collection", "miner")}
    further_names = [("evaluation.collections", "collection.name", one["name"]) for one in further]
    for key, like, name in (*((key, key, named[key]) for key in TAKEN), *further_names):
        owner = TAKEN[like].get(folded(name))
        if owner or (key == "miner.name" and folded(name).endswith(FILES)):
            raise StudyError(f"{key}: {name} is the name of {owner or 'a file'}; choose another")


def refuse_equal_records(study: dict[str, Any]) -> None:
    """Raise StudyError where two models of the hub, those of all variants, would have one record."""
    file_names = grid.hub_places(study)
    _refuse_twins("the record of what is fetched", ((name, hub_id) for hub_id, name in file_names.items()))


def _refuse_twins(what: str, names: Iterable[tuple[str, str]]) -> None:
    """Raise StudyError for two names, each with whose it is, that are one when folded but not one and the same."""
    first: dict[str, tuple[str, str]] = {}
    for name, owner in names:
        other, its_owner = first.setdefault(folded(name), (name, owner))
        if other != name:
            raise StudyError(
                f"{what}: {other} and {name} differ in case or Unicode form only: to some file systems they are one "
                f"name; rename one"
            )
        if its_owner != owner:
            raise StudyError(f"{what}: {name} would be that of {its_owner} and of {owner}; rename one")


def refuse_twin_folders(study: dict[str, Any], layout: Layout) -> None:
    """Raise StudyError where a folder of the study has one beside it whose name differs in case or Unicode form only.

    Another study's, collection's or miner's results would be taken for its own once they are on another file system.
    """
    tokens = [layout.tokens(name) for name in dict.fromkeys(grid.tokenizer_of(study, m)[0] for m in study["models"])]
    others = [layout._replace(collection=one["name"]) for one in study["evaluation"]["collections"]]
    folders = (
        layout.own,
        layout.shared,
        layout.mined,
        *tokens,
        *(folder for o in others for folder in (o.shared, o.mined)),
    )
    for folder in map(Path, folders):
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        for other in beside:
            if other.name != folder.name and folded(other.name) == folded(folder.name):
                raise StudyError(
                    f"{other}: {folder.name} differs from it in case or Unicode form only; take that name as it is, or "
                    f"another"
                )
