"""The collections that a study evaluates on: its own, and further ones that nothing is trained on.

Each further one is the study as it would be were that its collection, so that whatever is done on a study's own
collection is done on it by the same code.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.study import grid
from rankscale.study.checks.inputs import refuse_source

Study = dict[str, Any]

OF_EVALUATION = ("candidates", "full_retrieval")  # that a further collection may have of its own


def each(study: Study) -> dict[str, Study]:
    """By name, the study on each collection: its own as it is, the further ones without a training split."""
    others = {further["name"]: _on(study, further) for further in study["evaluation"]["collections"]}
    return {study["collection"]["name"]: study} | others


def further(study: Study) -> dict[str, Study]:
    """The same of the further ones alone."""
    return {name: one for name, one in each(study).items() if name != study["collection"]["name"]}


def _on(study: Study, further: dict[str, Any]) -> Study:
    own = {key: further[key] for key in OF_EVALUATION if further[key] is not None}
    collection = {key: value for key, value in further.items() if key not in OF_EVALUATION}
    collection["splits"] = {"train": None, **further["splits"]}
    # A run that names no collection is of the study's own.
    home, asked = study["collection"]["name"], study["evaluation"]["references"]
    runs = [{**run, "collection": run["collection"] or home} for run in asked["runs"]]
    own["references"] = {**asked, "runs": runs}
    return {**study, "collection": collection, "evaluation": {**study["evaluation"], **own, "collections": []}}


def asks_for_mined(study: Study) -> bool:
    """Whether evaluation on a study's collection reads the miner's lists: for hard candidates, or for a pool."""
    return "hard" in study["evaluation"]["candidates"] or grid.pool_sample(study) is not None


def vocabulary_on(study: Study, collection: str, tokenizer: str) -> str:
    """The folder of token ids on a collection by a tokenizer of the study's; on others it borrows its own words."""
    own = study["tokenizer"]["name"]
    return (
        grid.borrowed_vocabulary(study) if collection != study["collection"]["name"] and tokenizer == own else tokenizer
    )


def layouts(study: Study, layout: Layout) -> dict[str, Layout]:
    """The folders of each collection."""
    return {name: layout._replace(collection=name) for name in grid.collections(study)}


def refuse_collections(study: Study) -> None:
    """Raise StudyError for a further collection that is not sound, or that asks for more than is mined."""
    for name, one in further(study).items():
        try:
            refuse_source(one)
        except StudyError as error:
            raise StudyError(f"evaluation.collections: {name}: {error}") from None
        hard, kept = one["evaluation"]["candidates"].get("hard", 0), study["miner"]["top_k"]
        if hard > kept:
            raise StudyError(
                f"evaluation.collections: {name}: candidates.hard: {hard} is more than the {kept} negatives that "
                "miner.top_k keeps"
            )
