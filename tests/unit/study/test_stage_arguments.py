"""What the stages are told is what the config says: nothing is dropped, and defaults are the same everywhere."""

import dataclasses
import json
import re
import shlex

import pytest
import yaml

from rankscale.core.options import parsed
from rankscale.evaluation.options import RetrieveOptions, SampleOptions
from rankscale.evaluation.score_options import ScoreOptions
from rankscale.laws.options import FitOptions
from rankscale.laws.study_fit import OUTPUTS
from rankscale.search.options import EncodeOptions
from rankscale.stages import encode, fit, retrieve, sample, score, train
from rankscale.study import stage_arguments
from rankscale.study.config import check_config, schema
from rankscale.study.stage_arguments import GRID_KEYS
from rankscale.training.options import TrainOptions
from tests.conftest import ROOT

FIELDS = {field.name: field for field in dataclasses.fields(TrainOptions)}
FIELD_DEFAULTS = {SampleOptions: {"pool_sample": 0}}
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


def options_of(line, options, parser, **passed):
    """The options that a stage reads of a rule's words, with what the rule's shell text passes."""
    words = [
        *shlex.split(line),
        *(word for key, value in passed.items() for word in (f"--{key.replace('_', '-')}", value)),
    ]
    return parsed(options, parser.parse_args(words))


PATHS = {"collection": "c", "tokens": "t", "scratch": "s", "output": "o"}


def test_what_the_config_says_is_what_train_reads():
    settings = {"epochs": 7, "clip": None, "precision": "bf16", "micro_batch": 4, "gradient_checkpointing": True}
    config = study(**settings, learning_rate={model["name"]: 0.5 for model in study()["models"]})
    options = options_of(
        stage_arguments.train(config, "L1H96"), TrainOptions, train.arguments(), model="L1H96", **PATHS
    )
    assert (options.layers, options.hidden, options.heads, options.checkpoint) == (1, 96, 6, None)
    assert (options.learning_rate, options.split, options.threads) == (0.5, "train", 1)
    assert {key: getattr(options, key) for key in settings} == settings


def test_the_loss_s_own_parameters_are_passed_on():
    config = study(objective={"name": "lambdarank", "cut": 5})
    options = options_of(
        stage_arguments.train(config, "L1H16"), TrainOptions, train.arguments(), model="L1H16", **PATHS
    )
    assert (options.objective, options.objective_parameters) == ("lambdarank", '{"cut": 5, "metric": "mrr"}')


def test_the_rule_passes_what_no_function_does():
    rule = (ROOT / "workflow/rules/models.smk").read_text().partition("rule train:")[2].partition("# The same for")[0]
    passed = {name.replace("-", "_") for name in re.findall(r"--([a-z-]+) (?:[{$]|\"\n)", rule)} - {"log"}
    declared = stage_arguments.RUN_OPTIONS | stage_arguments.RUN_PATHS | stage_arguments.RUN_MACHINE
    assert passed | {"snapshots", "scratch"} == declared


@pytest.mark.parametrize(
    ("line", "options", "stage", "passed", "expected"),
    [
        (stage_arguments.fit, FitOptions, fit, {"metrics": "m", "study": "s", **dict.fromkeys(OUTPUTS, "o")},
         lambda c: {"columns": c["laws"]["metrics"], "bootstrap": 321, "hold_out_models": 3, "ties": "optimistic"}),
        (stage_arguments.score, ScoreOptions, score, {"observations": "o", "output": "s"},
         lambda c: {"ties": "optimistic", "correction": "none", "retrieval": "full"}),
        (stage_arguments.encode, EncodeOptions, encode, {"collection": "c", "documents": "d", "queries": "q"},
         lambda c: {"normalize": False, "query_prefix": "a 'b' $(c)", "shards": 1}),
        (stage_arguments.sample, SampleOptions, sample, {"collection": "c", "output": "o"},
         lambda c: {"hard": 5, "random": 0, "seed": 99, "splits": ["test"], "pool_sample": None}),
        (stage_arguments.retrieve, RetrieveOptions, retrieve,
         {"checkpoint": "c", "collection": "n", "tokens": "t", "candidates": "c", "observations": "o"},
         lambda c: {"top_k": 321, "precision": "bf16", "threads": 3}),
    ],
)  # fmt: skip
def test_what_the_config_says_is_what_the_stages_read(line, options, stage, passed, expected):
    config = study()
    config["laws"] |= {"bootstrap": 321, "hold_out": {"models": 3, "train_queries": 1}}
    config["miner"] |= {"normalize": False, "query_prefix": "a 'b' $(c)"}
    config["machine"] |= {"threads": 3}
    config["evaluation"] |= {"ties": "optimistic", "correction": "none", "candidates": {"hard": 5}, "seed": 99}
    config["evaluation"] |= {"full_retrieval": {"top_k": 321}, "precision": "bf16"}
    read = options_of(line(config), options, stage.arguments(), **passed)
    for name, value in expected(config).items():
        assert getattr(read, name) == (value if value is not None else FIELD_DEFAULTS[options][name])


def test_manifests_keep_what_a_shared_folder_is_made_with():
    config = study()
    words = shlex.split(stage_arguments.collect(config))
    kept = json.loads(words[words.index("--settings") + 1])
    assert kept["test_queries"] == config["collection"]["test_queries"]
    words = shlex.split(stage_arguments.tokenize(config, "wordpiece", None))
    assert json.loads(words[words.index("--settings") + 1])["split"] == "train"
