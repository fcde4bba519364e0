"""The variants of a study: ways to train the same grid, each a study of its own but for what it overrides.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from collections.abc import Callable
from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.layout import BASE

# What all variants share: which runs there are, on which queries, and what is kept of them.
COMMON = ("train_queries", "cells", "subsets", "seeds", "snapshots", "keep")

DYNAMIC = "dynamic"  # of training.negatives: found at each step by what goes on from another variant's runs
SHAPE = ("query_length", "passage_length", "output_dim")  # what a variant has in common with the one it goes on from

Study = dict[str, Any]


def names(study: Study) -> list[str]:
    """The variants in the order of the config, the first of which the others are compared with."""
    return [variant["name"] for variant in study["variants"]] or [BASE]


def study_of(study: Study, name: str) -> Study:
    """The study of one variant alone: what it overrides put in place, key by key of a section."""
    training, ranker = study["training"], study["ranker"]
    for variant in study["variants"]:
        if variant["name"] == name:
            training, ranker = {**training, **variant.get("training", {})}, variant.get("ranker", ranker)
    return {**study, "variants": [], "training": training, "ranker": ranker}


def each(study: Study) -> list[Study]:
    """The study of each variant alone."""
    return [study_of(study, name) for name in names(study)]


def is_dynamic(study: Study) -> bool:
    """Whether training, of a study of one variant, goes on from another one's runs."""
    return study["training"]["negatives"] == DYNAMIC


def starts(study: Study) -> dict[str, str]:
    """The variants that go on from another one's finished runs, and which: the first where none is named."""
    of_each = {name: study_of(study, name) for name in names(study)}
    first = next(iter(of_each))
    return {name: one["training"]["start_from"] or first for name, one in of_each.items() if is_dynamic(one)}


def refuse_starts(study: Study) -> None:
    """Raise StudyError for a variant that goes on from one that there is not, or that it cannot go on from."""
    for name, start in starts(study).items():
        if len(names(study)) == 1:
            raise StudyError(
                "training.negatives: dynamic ones are found by a model that is trained already; make this one of two "
                "variants, which goes on from the other (training.start_from)"
            )
        key = f"variants: {name}: training.start_from"
        if start not in names(study):
            raise StudyError(f"{key}: {start} is none of variants; they are {', '.join(names(study))}")
        other, own = study_of(study, start), study_of(study, name)
        if other["ranker"] != own["ranker"]:
            raise StudyError(f"{key}: {start} has another ranker than {name}; give both the same, a bi_encoder")
        other, own = other["training"], own["training"]
        if other["negatives"] == DYNAMIC:
            raise StudyError(f"{key}: {start} has dynamic negatives itself; name one that is trained as a whole")
        for shape in SHAPE:
            if own[shape] != other[shape]:
                raise StudyError(
                    f"variants: {name}: training.{shape}: {own[shape]}, but {start}, whose passages stay as they are, "
                    f"has {other[shape]}"
                )


def checked(study: Study, check: Callable[[Study], Study]) -> list[dict[str, Any]]:
    """The variants of a config, with the defaults of what they override; `check` is of a study of one variant.

    Raises StudyError for a name that stands twice, for what must be common, for what the study of a variant could not
    say, and for two that are the same.
    """
    variants: list[dict[str, Any]] = []
    recipes: dict[str, dict[str, Any]] = {}
    for variant in study["variants"]:
        name, overrides = variant["name"], variant.get("training", {})
        if name in recipes:
            raise StudyError(f"variants: the name {name} stands twice")
        for key in overrides:
            if key in COMMON:
                raise StudyError(f"variants: {name}: training.{key} is common to all variants; set it in training")
        try:
            alone = check({**study_of(study, name), "plan": None})
        except StudyError as error:
            raise StudyError(f"variants: {name}: {error}") from None
        training = alone["training"]
        recipes[name] = {**_recipe(study, training), "ranker": alone["ranker"]}
        twin = next(other for other, recipe in recipes.items() if recipe == recipes[name])
        if twin != name:
            raise StudyError(f"variants: {twin} and {name} train in the same way; take one of them out")
        own = {"ranker": alone["ranker"]} if "ranker" in variant else {}
        variants.append({**variant, **own, "training": {key: training[key] for key in overrides}})
    return variants


def _recipe(study: Study, training: dict[str, Any]) -> dict[str, Any]:
    """What a training comes to, however it is written."""
    recipe = {key: value for key, value in training.items() if key not in COMMON}
    if recipe["steps"]:
        recipe["epochs"] = None  # does not count then
    if recipe["negatives"] == DYNAMIC:
        recipe["start_from"] = recipe["start_from"] or names(study)[0]
    rate = recipe["learning_rate"]
    if not isinstance(rate, dict):
        recipe["learning_rate"] = {model["name"]: rate for model in study["models"]}
    return recipe
