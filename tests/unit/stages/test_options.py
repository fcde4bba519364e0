"""A section of the config and the options of its stages: the same keys, the same defaults."""

import dataclasses
import json

import pytest

from rankscale.collection.options import CollectOptions, read_thresholds
from rankscale.core.options import command_line
from rankscale.evaluation.options import RetrieveOptions, SampleOptions
from rankscale.evaluation.references.options import ReferOptions
from rankscale.search.options import EncodeOptions, MineOptions
from rankscale.study import config
from rankscale.text.options import TokenizeOptions

# By section: the options of its stages, and which keys of the config no option has by that name.
SECTIONS = {
    "collection": ([CollectOptions], {"name"}),  # a folder
    "tokenizer": ([TokenizeOptions], {"name"}),  # a folder
    "miner": ([EncodeOptions, MineOptions], {"name"}),  # a folder
    "evaluation": (
        [SampleOptions, RetrieveOptions],
        # The counts of kinds are `hard` and `random`, the depth and the pool are `top_k` and `pool_sample`; correction
        # and ties are the stage score's. Each further collection, and each reference, is told to stages of its own.
        {"candidates", "full_retrieval", "correction", "ties", "collections", "references", "slices"},
    ),
}
# Where an option holds a key's value in another form: the schema's default as the option has it.
FORMS = {
    "positive_grade": lambda grade: read_thresholds(json.dumps(grade)),
    "splits": lambda splits: ["train", "test"],
}
# By options: what is no key of its section, but of another, nested in one, or of a single job.
BESIDE = {
    CollectOptions: {"files"},  # a path that is a mapping
    TokenizeOptions: {"tokenizer", "split"},  # models[].tokenizer, collection.splits.train
    EncodeOptions: {"shard", "threads", "device"},  # machine
    MineOptions: {"seed", "threads", "device"},
    SampleOptions: {"hard", "random", "splits", "train_split", "pool_sample"},
    RetrieveOptions: {"top_k", "threads", "device"},
}


def fields(options):
    return {field.name: field for field in dataclasses.fields(options)}


def default(field):
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def keys(section):
    return config.schema()["properties"][section]["properties"]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_section_reaches_a_stage_and_every_option_has_a_key(section):
    stages, elsewhere = SECTIONS[section]
    assert set(keys(section)) - set().union(*map(fields, stages)) == elsewhere
    for options in stages:
        assert set(fields(options)) - set(keys(section)) == BESIDE[options] - set(keys(section))


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_and_choices_are_the_schema_s(section):
    for options in SECTIONS[section][0]:
        for name in set(fields(options)) & set(keys(section)) - BESIDE[options]:
            field, key = fields(options)[name], keys(section)[name]
            assert default(field) == FORMS.get(name, lambda value: value)(key["default"]), name
            choices = [value for value in key.get("enum", ()) if value is not None]  # null is no option
            assert (field.metadata["choices"] or []) == choices, name


def test_bm25_has_the_schema_s_defaults_and_choices():
    known = keys("evaluation")["references"]["properties"]["bm25"]["properties"]
    for name, key in known.items():
        field = fields(ReferOptions)[name]
        assert default(field) == key["default"], name
        assert list(field.metadata["choices"] or ()) == key.get("enum", []), name


def test_defaults_of_what_is_nested_or_of_the_machine_are_the_schema_s_too():
    machine, retrieval = keys("machine"), keys("evaluation")["full_retrieval"]["default"]
    assert fields(RetrieveOptions)["top_k"].default == retrieval["top_k"]
    for options in (EncodeOptions, MineOptions, RetrieveOptions):
        assert {name: default(fields(options)[name]) for name in ("threads", "device")} == {
            name: machine[name]["default"] for name in ("threads", "device")
        }
    splits = keys("collection")["splits"]["properties"]
    assert fields(TokenizeOptions)["split"].default == splits["train"]["default"]
    assert fields(SampleOptions)["train_split"].default is None  # on a collection that nothing is trained on
    assert default(fields(SampleOptions)["splits"]) == splits["test"]["default"]


def test_a_transformer_s_vectors_are_not_normalized_if_the_config_says_so():
    miner = {name: key["default"] for name, key in keys("miner").items() if name in fields(EncodeOptions)}
    assert "--normalize " in command_line(EncodeOptions, miner)
    assert "--no-normalize " in command_line(EncodeOptions, miner | {"normalize": False})
