"""The options of a run are what a saved state is bound to."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.factory import from_scratch
from rankscale.text.token_store import SpecialTokens, TokenStore
from rankscale.training.fingerprint import run_fingerprint
from rankscale.training.options import TrainOptions
from rankscale.training.sampler import ExampleSampler
from rankscale.training.training_data import TrainingData

FIELDS = {field.name: field for field in dataclasses.fields(TrainOptions)}
# The result depends on what lies at these paths, which is hashed itself, and not on when a state is kept.
NO_RESULT = {
    "checkpoint",
    "collection",
    "tokens",
    "mined",
    "miner_scores",
    "teacher_scores",
    "scratch",
    "output",
    "device",
    "save_seconds",
    "save_steps",
}
PATHS = {name: Path(name) for name in ("collection", "tokens", "scratch", "output")}
OPTIONS = TrainOptions(model="m", learning_rate=1e-3, **PATHS)


def fingerprint(options):
    torch.manual_seed(0)
    store = TokenStore(pa.array(["a"]), np.array([5], np.uint16), np.array([0, 1]), SpecialTokens([1], [2], 0, 9), 8)
    data = TrainingData(np.array([0]), [np.array([0])], [np.array([0])], None, 2)
    model = BiEncoder(from_scratch(1, 4, 2, 9, 8), 2)
    return run_fingerprint(options, model, ExampleSampler(data, 1, 1), (store, store), torch.device("cpu"), 1)


def other(value):
    """Some other value of its type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str | list):
        return value + type(value)("x")
    return Path("elsewhere") if isinstance(value, Path) else (value or 0) + 1


@pytest.mark.parametrize("name", FIELDS)
def test_a_state_goes_on_under_the_same_recipe_only(name):
    changed = dataclasses.replace(OPTIONS, **{name: other(getattr(OPTIONS, name))})
    assert changed != OPTIONS
    assert (fingerprint(changed) == fingerprint(OPTIONS)) == (name in NO_RESULT)


def test_only_these_options_leave_the_result_alone():
    assert {name for name, field in FIELDS.items() if not field.metadata["in_result"]} == NO_RESULT
