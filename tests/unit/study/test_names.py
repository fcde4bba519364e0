"""Two names that would be one place are refused by name; so is one that ends in a new line."""

import copy

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.study import config, sharing
from rankscale.study.checks import names
from tests.conftest import ROOT

EMBEDDED = yaml.safe_load((ROOT / "config.yaml").read_text())
OWN = {"name": "own", "layers": 1, "hidden": 8, "heads": 2}


def study_with(models=(), **sections):
    """The project's own study with other models and other values in its sections."""
    study = copy.deepcopy(EMBEDDED)
    if models:
        training = {**study["training"], "learning_rate": 1e-3, "cells": None, "snapshots": {}}
        study |= {"models": list(models), "training": training}
    for name, values in sections.items():
        study[name] = {**study.get(name, {}), **values} if isinstance(values, dict) else values
    return study


def checkpoint(name, source, **more):
    return {"name": name, "checkpoint": source, **more}


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (
            study_with([OWN, checkpoint("small", "owner/bert")], tokenizer={"name": "owner--bert"}),
            "the folder of token ids: owner--bert would be that of the vocabulary that is trained .* and of owner/bert",
        ),
        (
            study_with([OWN, checkpoint("small", "owner/bert")], tokenizer={"name": "Owner--BERT"}),
            "the folder of token ids: Owner--BERT and owner--bert differ in case or Unicode form only",
        ),
        (
            study_with([checkpoint("a", "owner/bert--x"), checkpoint("b", "owner--bert/x")]),
            "the folder of token ids: owner--bert--x would be that of owner/bert--x and of owner--bert/x",
        ),
        (
            study_with([checkpoint("a", "o/b--x", tokenizer="o/t"), checkpoint("b", "o--b/x", tokenizer="o/t")]),
            "the record of what is fetched: o--b--x would be that of o--b/x and of o/b--x",
        ),
        (study_with([OWN, {**OWN, "name": "Own"}]), "models: own and Own differ in case"),
        (
            study_with(variants=[{"name": "a"}, {"name": "A", "training": {"clip": 1}}]),
            "variants: a and A differ in case",
        ),
        (study_with(miner={"name": "Tokens"}), "miner.name: Tokens is the name of something else in the collection's"),
        (study_with(miner={"name": "x.Parquet"}), "miner.name: x.Parquet is the name of a file"),
        (study_with(collection={"name": "Hub"}), "collection.name: Hub is the name of the folder of what is fetched"),
        (study_with(study="Shared"), "study: Shared is the name of the folder that studies share"),
    ],
)
def test_two_names_of_one_place_are_refused(study, message):
    with pytest.raises(StudyError, match=message) as error:
        config.check_config(study)
    assert "\n" not in str(error.value)


def test_splits_that_only_a_byte_tells_apart_are_refused(tmp_path):
    """The same word with its accent as a character of its own, or as part of the letter; and in capitals."""
    for twins in (("caf\u00e9", "cafe\u0301"), ("dev", "DEV")):
        files = {name: str(tmp_path / "t.tsv") for name in ("train", *twins)}
        (tmp_path / "t.tsv").touch()
        paths = {"corpus": files["train"], "queries": files, "qrels": files}
        study = study_with(
            collection={"name": "c", "source": "tsv", "path": paths, "splits": {"train": "train", "test": list(twins)}}
        )
        with pytest.raises(StudyError, match=f"collection.splits: {twins[0]} and {twins[1]} differ in case"):
            config.check_config(study)


@pytest.mark.parametrize(
    ("section", "key"),
    [("study", None), ("collection", "name"), ("miner", "name"), ("tokenizer", "name"), ("models", "name")],
)
def test_a_name_that_ends_in_a_new_line_is_refused(section, key):
    study = copy.deepcopy(EMBEDDED)
    if key is None:
        study[section] += "\n"
    elif section == "models":
        study = study_with([{**OWN, "name": "own\n"}])
    else:
        study[section] = {**study.get(section, {}), key: "name\n"}
    with pytest.raises(StudyError, match=rf'{section}.*: "\w+\\n" is not allowed') as error:
        config.check_config(study)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("laws", {"metrics": ["rank_entropy", "1-mrr\n"]}),
        ("plan", {"metric": "rank_entropy\n", "budget": 1, "prices": {"device_hour": 1}}),
        ("evaluation", {"full_retrieval": {"top_k": 100, "pool": "judged+mined+5\n"}}),
    ],
)
def test_nor_is_any_other_value_that_a_pattern_checks(section, value):
    with pytest.raises(StudyError, match="is not allowed"):
        config.check_config(study_with(**{section: value}))


def test_one_source_of_two_models_is_one_folder():
    study = study_with([checkpoint("a", "o/b"), checkpoint("b", "o/b"), OWN])
    names.refuse_equal_names(config.check_config(study))


@pytest.mark.parametrize(
    "twin", ["Demo", "shared/Docstrings", "shared/docstrings/LSA", "shared/docstrings/tokens/WordPiece"]
)
def test_a_folder_that_is_there_under_another_case_is_not_taken_for_its_own(tmp_path, twin):
    study = config.check_config(study_with(study="demo"))
    layout = Layout.of(study, str(tmp_path))
    sharing.refuse_clashes(study, layout)
    for name in (twin.lower(), "unlike"):
        (tmp_path / name).mkdir(parents=True)
    sharing.refuse_clashes(study, layout)
    (tmp_path / twin).mkdir(parents=True)
    with pytest.raises(StudyError, match=f"{twin}: .* differs from it in case or Unicode form only"):
        sharing.refuse_clashes(study, layout)
