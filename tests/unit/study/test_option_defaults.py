"""What a stage assumes when it is told nothing is what the study's schema says."""

import dataclasses

import pytest

from rankscale.core import metrics
from rankscale.evaluation.score_options import ScoreOptions, SubsampleOptions
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.options import FitOptions, PlanOptions, Prices, Resampling
from rankscale.study.config import schema

SECTIONS = {name: schema()["properties"][name]["properties"] for name in ("evaluation", "laws", "plan")}
HOLD = SECTIONS["laws"]["hold_out"]["properties"]


def default(options, name):
    field = next(field for field in dataclasses.fields(options) if field.name == name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


@pytest.mark.parametrize(
    ("options", "name", "entry"),
    [
        (FitOptions, "columns", SECTIONS["laws"]["metrics"]),
        (FitOptions, "hold_out_models", HOLD["models"]),
        (FitOptions, "hold_out_train_queries", HOLD["train_queries"]),
        (FitOptions, "bootstrap", SECTIONS["laws"]["bootstrap"]),
        (FitOptions, "seed", SECTIONS["laws"]["seed"]),
        (FitOptions, "ties", SECTIONS["evaluation"]["ties"]),
        (SubsampleOptions, "seed", SECTIONS["laws"]["seed"]),
        (SubsampleOptions, "ties", SECTIONS["evaluation"]["ties"]),
        (ScoreOptions, "ties", SECTIONS["evaluation"]["ties"]),
        (ScoreOptions, "correction", SECTIONS["evaluation"]["correction"]),
        *((PlanOptions, name, SECTIONS["plan"][name]) for name in SECTIONS["plan"] if name != "prices"),
    ],
)
def test_a_default_is_the_schemas(options, name, entry):
    assert default(options, name) == entry["default"]


def test_what_may_be_chosen_is_what_the_schema_lists():
    assert SECTIONS["evaluation"]["ties"]["enum"] == list(metrics.TIES)
    assert SECTIONS["evaluation"]["correction"]["enum"] == list(metrics.CORRECTIONS)
    assert set(SECTIONS["plan"]["law"]["enum"]) == {"best", *(law.name for law in LAWS.values() if law.variables == 2)}
    assert tuple(SECTIONS["plan"]["prices"]["properties"]) == Prices._fields


def test_every_metric_of_the_schemas_default_falls_as_models_get_better():
    for name in SECTIONS["laws"]["metrics"]["default"]:
        assert metrics.metric_named(name).falls


def test_a_plan_has_the_options_that_the_schema_has():
    shared = {field.name for field in dataclasses.fields(Resampling)}
    assert set(SECTIONS["plan"]) == {field.name for field in dataclasses.fields(PlanOptions)} - shared
