"""A recipe that cannot be trained is refused with the key that is wrong, before anything is made."""

import copy
import json

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.study import stage_arguments
from rankscale.study.config import check_config
from rankscale.study.variants import DYNAMIC
from rankscale.training.options import NEGATIVES
from tests.conftest import ROOT

EMBEDDED = yaml.safe_load((ROOT / "config.yaml").read_text())
MINER = {"scores": "miner"}
OWN = "results/demo/models/base/L1H16/{}/1/final.safetensors"
KL = {"objective": {"name": "kl"}, "negatives": "mined"}


def study(miner=None, **training):
    config = copy.deepcopy(EMBEDDED)
    config["training"] |= training
    config["miner"] |= miner or {}
    return check_config(config)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"objective": {"name": "focal", "gamma": -1}}, r"training\.objective\.gamma: -1 is not allowed"),
        ({"objective": {"name": "focal", "gama": 1}}, r"training\.objective\.gama: unknown key; did you mean gamma"),
        ({"objective": {"name": "infonce", "gamma": 1}}, r"training\.objective\.gamma: unknown key; known are none"),
        ({"objective": {"name": "pg_rank", "samples": 1}}, r"training\.objective\.samples: 1 is not allowed"),
        ({"objective": {"name": "star"}, "negatives": "mined"}, r"training\.negatives: star needs .* whole batch"),
        ({"objective": {"name": "wasserstein"}}, r"training\.negatives: wasserstein takes a query"),
        ({"objective": {"name": "wasserstein"}, "negatives": "mined"}, r"training\.objective: wasserstein needs"),
        ({**KL, "negatives": "mined+in_batch", "teacher": MINER}, r"training\.negatives: kl takes a query's own"),
        (KL, r"training\.teacher: kl needs one"),
        ({"teacher": MINER}, r"training\.teacher: infonce takes no teacher"),
        ({**KL, "negatives": "random", "teacher": MINER}, r"training\.negatives: a teacher scores mined negatives"),
        ({**KL, "teacher": {"scores": "nowhere.tsv"}}, r"training\.teacher\.scores: nowhere\.tsv: there is no"),
        ({**KL, "teacher": {}}, r"training\.teacher\.scores: is missing"),
        ({**KL, "teacher": {"scores": "miner", "tokenizer": "wordpiece"}}, r"only a checkpoint reads one"),
        ({**KL, "teacher": {"scores": "lost.safetensors"}}, r"training\.teacher\.scores: lost\.safetensors"),
        ({**KL, "teacher": {"scores": "miner", "model": "a/b"}}, r"training\.teacher: give scores or a model, one"),
        ({**KL, "teacher": {"scores": "miner", "shards": 2}}, r"training\.teacher\.shards: is of a model that reads"),
        ({**KL, "teacher": {"model": "./nowhere"}}, r"training\.teacher\.model: \./nowhere: there is no such folder"),
        ({**KL, "teacher": {"model": "no id"}}, r"training\.teacher\.model: no id: there is no such folder"),
        ({**KL, "teacher": {"model": "a/b", "kind": "poly"}}, r"training\.teacher\.kind: poly is not allowed"),
        ({**KL, "teacher": {"model": "a/b", "tokenizer": "wordpiece"}}, r"training\.teacher\.tokenizer: a model reads"),
        ({**KL, "teacher": {"model": "a/b", "top_k": 300}}, r"training\.teacher\.top_k: 300 is not between"),
        ({**KL, "teacher": {"model": "a/b", "top_k": 1}, "negatives_per_query": 2}, r"training\.teacher\.top_k: 1 is"),
        ({**KL, "teacher": {"scores": OWN.format(8000)}}, r"training\.teacher\.scores: .* is taught by this study"),
        ({**KL, "teacher": {"scores": OWN.format(9)}}, r"training\.teacher\.scores: .*: is the end of no run of this"),
        ({"learned_temperature": True, "inverse_temperature": 0.5}, r"training\.inverse_temperature: one"),
        ({"negatives": "mixed"}, r"training\.negatives_per_query: mixed negatives are made of two"),
        ({"negatives": "random", "curriculum": {}}, r"training\.curriculum: goes by mined negatives"),
        ({"negatives": "random", "propensity": {}}, r"training\.propensity: goes by mined negatives"),
        ({"curriculum": {"heuristic": "bm25"}}, r"training\.curriculum\.heuristic: bm25 is not allowed"),
        ({"curriculum": {"epochs": 0}}, r"training\.curriculum\.epochs: 0 is not allowed"),
        ({"propensity": {"floor": 0}}, r"training\.propensity\.floor: 0 is not allowed"),
        ({"loss_reweighting": 0}, r"training\.loss_reweighting: 0 is not allowed"),
        ({"consistency_filter": 201}, r"training\.consistency_filter: more than miner\.top_k keeps"),
        ({"miner": {"range_min": 5}, "consistency_filter": 20}, r"training\.consistency_filter: .*miner\.range_min"),
        ({"miner": {"relative_margin": 0.05}, "curriculum": {}}, r"training\.curriculum: .*miner\.relative_margin"),
    ],
)  # fmt: skip
def test_a_recipe_without_what_it_needs_is_refused_in_one_line_that_names_it(training, message):
    with pytest.raises(StudyError, match=message) as error:
        study(**training)
    assert "\n" not in str(error.value)


def test_a_checkpoint_reads_a_tokenizer_of_the_study(tmp_path):
    (tmp_path / "final.safetensors").touch()
    teacher = {"scores": str(tmp_path / "final.safetensors"), "tokenizer": "other"}
    with pytest.raises(StudyError, match=r"training\.teacher\.tokenizer: other is none of this study's: wordpiece"):
        study(**KL, teacher=teacher)
    assert study(**KL, teacher={**teacher, "tokenizer": None})["training"]["teacher"]["tokenizer"] is None


def test_defaults_of_what_is_nested_are_filled_in():
    training = study(curriculum={}, propensity={}, objective={"name": "tal"})["training"]
    assert training["curriculum"] == {"heuristic": "reciprocal_rank", "epochs": 20, "anti": False}
    assert training["propensity"] == {"floor": 0.1, "power": 1}
    assert training["objective"] == {"name": "tal", "margin": 0.1, "temperature": 0.02}


def test_the_schema_has_the_negatives_that_there_are():
    from rankscale.study.config import schema

    assert set(schema()["properties"]["training"]["properties"]["negatives"]["enum"]) == {*NEGATIVES, DYNAMIC}


def test_temperatures_of_draws_that_do_not_go_by_them_tell_no_runs_apart():
    plain, other = (stage_arguments.train(study(annealing_end=end), "L1H16") for end in (0.001, 0.002))
    assert plain == other
    annealed = stage_arguments.train(study(negatives="annealed", annealing_end=0.002), "L1H16")
    assert "--annealing-start 0.05 --annealing-end 0.002" in annealed


def test_weights_are_passed_on_as_json():
    words = stage_arguments.train(study(curriculum={"anti": True}), "L1H16")
    weights = words.partition("--curriculum '")[2].partition("'")[0]
    assert json.loads(weights) == {"heuristic": "reciprocal_rank", "epochs": 20, "anti": True}
