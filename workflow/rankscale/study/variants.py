"""The variants of a study: ways to train the same grid, each a study of its own but for what it overrides.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from collections.abc import Callable
from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.layout import BASE

# What all variants share: which runs there are, on which queries, and what is kept of them.
COMMON = ("train_queries", "cells", "subsets", "seeds", "snapshots", "keep")

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
    rate = recipe["learning_rate"]
    if not isinstance(rate, dict):
        recipe["learning_rate"] = {model["name"]: rate for model in study["models"]}
    return recipe
