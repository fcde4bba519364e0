"""The reference lines of a study: rankings that nothing is trained for, by name, on each of its collections.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from pathlib import Path
from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.ranker_flops import BI_ENCODER
from rankscale.evaluation.references.options import BM25, MINER, RANDOM, RUN, UNTRAINED
from rankscale.study import grid
from rankscale.study.checks.names import folded

Study = dict[str, Any]

BUILT_IN = (BM25, MINER, UNTRAINED, RANDOM)


def references(study: Study, collection: str) -> dict[str, str]:
    """The names of the references on a collection, and of what kind each is."""
    asked, home = study["evaluation"]["references"], study["collection"]["name"]
    kinds = {kind: kind for kind in BUILT_IN if asked[kind] not in (None, False)}
    return kinds | {run["name"]: RUN for run in asked["runs"] if (run["collection"] or home) == collection}


def external_run(study: Study, name: str) -> dict[str, Any]:
    """A run that was made elsewhere, as the config has it."""
    return next(run for run in study["evaluation"]["references"]["runs"] if run["name"] == name)


def refuse_references(study: Study) -> None:
    """Raise StudyError for a run that is not there, is of no collection of the study, or has a name that is taken."""
    if study["evaluation"]["references"]["untrained"] and study["ranker"]["kind"] != BI_ENCODER:
        raise StudyError("evaluation.references.untrained: is of bi-encoders; leave it out for other kinds of ranker")
    taken = {folded(name): "a reference of that name" for name in BUILT_IN}
    sets = {study["collection"]["name"]: study["collection"]["splits"]["test"]}
    sets |= {further["name"]: further["splits"]["test"] for further in study["evaluation"]["collections"]}
    for number, run in enumerate(study["evaluation"]["references"]["runs"]):
        key = f"evaluation.references.runs.{number}"
        collection = run["collection"] or study["collection"]["name"]
        if folded(run["name"]) in taken:
            raise StudyError(f"{key}.name: {run['name']} is the name of {taken[folded(run['name'])]}; choose another")
        taken[folded(run["name"])] = "another run"
        if collection not in grid.collections(study):
            raise StudyError(f"{key}.collection: {collection} is none of the study's collections")
        if run["split"] not in sets[collection]:
            raise StudyError(f"{key}.split: {run['split']} is no test set of {collection}")
        if not Path(run["path"]).expanduser().is_file():
            raise StudyError(f"{key}.path: {run['path']}: there is no such file")
