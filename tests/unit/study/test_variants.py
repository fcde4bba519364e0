"""Ways to train one grid: what each run is told, what all share, and what cannot be a variant."""

import copy

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.study import cost_estimates, grid, sharing, stage_arguments, variants
from rankscale.study.config import check_config
from tests.conftest import SMALL
from tests.unit.study.test_grid import SIZE


def study(*ways):
    return check_config({**yaml.safe_load(SMALL), "variants": copy.deepcopy(list(ways))})


FIRST = {"name": "base"}
OTHER = {"name": "random", "training": {"negatives": "random", "epochs": 4.0}}


def train_words(config, name, model="L1H16"):
    return stage_arguments.train(variants.study_of(config, name), model)


def test_without_any_there_is_one_that_overrides_nothing():
    assert {run.variant for run in grid.runs(study())} == {"base"}
    assert train_words(study(), "base") == stage_arguments.train(study(), "L1H16")


def test_each_trains_the_same_cells_in_its_own_way():
    both = study(FIRST, OTHER)
    runs = list(grid.runs(both))
    assert runs[:9] == list(grid.runs(study()))
    assert [run[1:] for run in runs[9:]] == [run[1:] for run in runs[:9]]
    assert train_words(both, "base") == train_words(study(), "base")
    plain = train_words(both, "base").replace("mined+in_batch", "random").replace("--epochs 2", "--epochs 4")
    assert train_words(both, "random") == plain


def test_mappings_are_replaced_as_a_whole():
    rates = {"L1H8": 0.1, "L1H16": 0.2, "L1H32": 0.3}
    both = study(FIRST, {"name": "rates", "training": {"learning_rate": rates}})
    assert "--learning-rate 0.2" in train_words(both, "rates")
    own = study({"name": "a", "training": {"objective": {"name": "tal", "margin": 1}}})
    assert variants.study_of(own, "a")["training"]["objective"] == {"name": "tal", "margin": 1, "temperature": 0.02}


def test_what_is_shared_does_not_depend_on_them():
    one, two = study(), study(FIRST, OTHER)
    layout = Layout.of(one)
    assert sharing.shared_settings(one, layout) == sharing.shared_settings(two, layout)
    for stage in (stage_arguments.collect, stage_arguments.encode, stage_arguments.mine, stage_arguments.sample):
        assert stage(one) == stage(two)


def test_the_miner_is_needed_where_any_of_them_trains_on_its_lists():
    config = yaml.safe_load(SMALL)
    config["evaluation"] = {"candidates": {"random": 16}}
    config["training"]["negatives"] = "random"
    assert not grid.needs_miner(check_config(config))
    config["variants"] = [FIRST, {"name": "mined", "training": {"negatives": "mined"}}]
    assert grid.needs_miner(check_config(config))


def test_snapshots_are_of_every_variant():
    looked_at = grid.snapshots(study(FIRST, OTHER))
    assert [(run.variant, run.model) for run in looked_at] == [("base", "L1H16"), ("random", "L1H16")]


def test_each_costs_what_its_own_training_takes():
    jobs = cost_estimates.job_work(study(FIRST, OTHER), SIZE)
    flops = {job.target: job.flops for job in jobs if job.stage == "train"}
    assert len(flops) == 18
    for target, spent in flops.items():
        if "/base/" in target:
            assert flops[target.replace("/base/", "/random/")] == pytest.approx(2 * spent)


@pytest.mark.parametrize(
    ("ways", "message"),
    [
        ([FIRST, FIRST], "variants: the name base stands twice"),
        ([FIRST, {"name": "same", "training": {}}], "variants: base and same train in the same way"),
        ([FIRST, {"name": "a", "training": {"learning_rate": dict.fromkeys(("L1H8", "L1H16", "L1H32"), 4.0e-3)}}],
         "variants: base and a train in the same way"),
        ([{"name": "a", "training": {"seeds": [1]}}], "variants: a: training.seeds is common to all variants"),
        ([{"name": "a", "training": {"cells": None}}], "variants: a: training.cells is common"),
        ([{"name": "a", "training": {"batch": 2}}], "variants: a: training.batch: unknown key"),
        ([{"name": "a", "training": {"epochs": 0}}], "variants: a: training.epochs: 0 is not allowed"),
        ([{"name": "a", "training": {"objective": {"name": "none"}}}], "variants: a: training.objective.name: there"),
        ([{"name": "a", "training": {"learning_rate": {"L1H8": 1.0}}}], "L1H32 is a model without a rate"),
        ([{"name": "a", "training": {"steps": 20}}], "variants: a: training.snapshots.steps: 20 is not before"),
        ([{"name": "a", "miner": {"top_k": 9}}], "variants.0.miner: unknown key"),
        ([{"name": "a", "evaluation": {"candidates": {"hard": 8}}}], "variants.0.evaluation: unknown key"),
        ([{"name": "a", "collection": {"test_queries": 9}}], "variants.0.collection: unknown key; known are name"),
        ([FIRST, {"name": "a", "training": {"objective": {"name": "kl"}, "negatives": "mined"}}],
         "variants: a: training.teacher: kl needs one"),
        ([{"name": "a/b"}], "variants.0.name: a/b is not allowed"),
        ([{"training": {}}], "variants.0.name: is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_variant_is_named(ways, message):
    with pytest.raises(StudyError) as error:
        study(*ways)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checked_config_can_be_checked_again():
    once = study(FIRST, OTHER)
    assert check_config(once) == once
