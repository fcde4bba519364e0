"""What the stages are told is what the config says: nothing is dropped, and defaults are the same everywhere."""

import dataclasses
import re

import pytest
import yaml

from rankscale.core.options import command_line, parsed
from rankscale.stages import train
from rankscale.study.config import check_config, schema
from rankscale.study.stage_arguments import GRID_KEYS, training_options
from rankscale.training.options import TrainOptions
from tests.conftest import ROOT

FIELDS = {field.name: field for field in dataclasses.fields(TrainOptions)}
TRAINING = schema()["properties"]["training"]["properties"]


def study(**training):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["training"] |= training
    return check_config(config)


def test_every_training_key_reaches_train_or_spans_the_grid():
    assert set(TRAINING) >= GRID_KEYS
    assert set(TRAINING) - set(FIELDS) <= GRID_KEYS


def test_every_key_of_a_model_reaches_train_but_its_name_and_tokenizer():
    keys = schema()["properties"]["models"]["items"]["properties"]
    assert set(keys) - set(FIELDS) == {"name", "tokenizer"}  # the first is `model`, the second chooses the token ids


@pytest.mark.parametrize("key", sorted(set(TRAINING) & set(FIELDS) - GRID_KEYS - {"objective"}))
def test_schema_and_stage_have_the_same_defaults(key):
    assert TRAINING[key].get("default", dataclasses.MISSING) == FIELDS[key].default


def test_schema_and_stage_have_the_same_loss_by_default():
    assert TRAINING["objective"]["properties"]["name"]["default"] == FIELDS["objective"].default
    assert study(objective={})["training"]["objective"] == {"name": "infonce"}


def test_what_the_config_says_is_what_train_reads():
    told = {"epochs": 7, "clip": None, "precision": "bf16", "micro_batch": 4, "gradient_checkpointing": True}
    config = study(**told, learning_rate={model["name"]: 0.5 for model in study()["models"]})
    values = training_options(config, "L2H96")
    run = {"train_queries", "seed", "snapshots", "collection", "tokens", "mined", "scratch", "output", "model"}
    line = command_line(TrainOptions, values, given=run)
    paths = " --collection c --tokens t --scratch s --output o --model L2H96"
    options = parsed(TrainOptions, train.arguments().parse_args((line + paths).split()))
    assert (options.layers, options.hidden, options.heads, options.checkpoint) == (2, 96, 4, None)
    assert (options.learning_rate, options.split, options.threads) == (0.5, "train", 1)
    assert {key: getattr(options, key) for key in told} == told


def test_the_loss_s_own_parameters_are_passed_on():
    values = training_options(study(objective={"name": "infonce", "b": 1, "a": [2]}), "L1H20")
    assert (values["objective"], values["objective_parameters"]) == ("infonce", '{"a": [2], "b": 1}')


def test_the_rule_passes_what_no_function_does():
    rule = (ROOT / "workflow/rules/models.smk").read_text().partition("rule train:")[2].partition("# The same for")[0]
    passed = {name.replace("-", "_") for name in re.findall(r"--([a-z-]+) [{$]", rule)} - {"log"}
    values = set(training_options(study(), "L1H20"))
    assert passed <= set(FIELDS)
    assert not passed & values
    needed = {name for name, field in FIELDS.items() if field.default is field.default_factory is dataclasses.MISSING}
    assert needed <= passed | values
