"""Grids that are no product: their runs, what is refused of them, what they will take."""

import copy

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import RunId
from rankscale.study import cost_estimates, grid, stage_arguments
from rankscale.study.config import check_config
from tests.conftest import SMALL

PLUS = [
    {"train_queries": [1024]},
    {"models": ["L1H16"]},
    {"models": ["L1H8", "L1H16"], "train_queries": [256]},
]
SIZE = {"documents": 1e6, "train": 2500.0, "test": 400.0, "passage": 20.0, "query": 10.0}
SIZE |= {"passage_whole": 40.0, "query_whole": 10.0}


def study(retrieval=None, **training):
    config = yaml.safe_load(SMALL)
    config["training"] |= copy.deepcopy(training)
    config["evaluation"]["full_retrieval"] |= retrieval or {}
    return check_config(config)


def cells_of(study):
    return [(run.model, run.subset) for run in grid.runs(study)]


def test_cells_are_the_union_of_their_blocks_in_the_order_of_the_config():
    expected = [("L1H8", "256"), ("L1H8", "1024"), ("L1H16", "256"), ("L1H16", "512"), ("L1H16", "1024")]
    expected += [("L1H32", "1024")]
    assert cells_of(study(cells=PLUS)) == expected
    assert cells_of(study(cells=PLUS[::-1])) == expected
    assert cells_of(study(cells=[{"models": "every"}])) == cells_of(study())
    assert len(list(grid.runs(study(cells=PLUS, seeds=[1, 2])))) == 12


def test_null_is_the_subset_of_all_queries():
    everything = study(train_queries=[256, None], cells=[{"train_queries": [None]}, {"models": ["L1H8"]}])
    assert cells_of(everything) == [("L1H8", "256"), ("L1H8", "all"), ("L1H16", "all"), ("L1H32", "all")]


def test_whole_numbers_written_as_floats_are_cells_too():
    assert cells_of(study(cells=[{"train_queries": [1024.0]}, {"models": ["L1H8"]}]))[0] == ("L1H8", "256")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([{"models": ["L9"]}], "training.cells.0.models: L9 is none of models"),
        ([{}], "training.cells.0"),
        ([], "training.cells"),
        ([{"models": "all"}], "training.cells.0.models: all is not allowed"),
        ([{"model": ["L1H8"]}], "training.cells.0.model: unknown key; did you mean models?"),
        ([{"train_queries": [7]}], "training.cells.0.train_queries: 7 is none of training.train_queries"),
        ([{"models": "every"}, {"train_queries": [None]}], "training.cells.1.train_queries: null is none of"),
        ([{"models": ["L1H8"]}, {"models": ["L1H16"]}], "training.cells: no cell has model L1H32"),
        ([{"train_queries": [1024, 512]}], "training.cells: no cell has 256 training queries"),
        (
            [{"models": ["L1H8", "L1H32"]}, {"models": ["L1H16"], "train_queries": [256]}],
            "training.snapshots.models: L1H16 is not trained on 1024 queries .training.cells.",
        ),
    ],
)
def test_cells_that_cannot_be_are_refused(cells, message):
    with pytest.raises(StudyError, match=message) as error:
        study(cells=cells)
    assert "\n" not in str(error.value)


def test_each_models_largest_subset():
    chosen = list(grid.runs(study(cells=[*PLUS[1:], {"models": ["L1H32"], "train_queries": [512, 1024]}])))
    assert [(run.model, run.subset) for run in grid.on_own_largest(chosen)] == [
        ("L1H8", "256"),
        ("L1H16", "1024"),
        ("L1H32", "1024"),
    ]


def test_runs_on_the_largest_subset_search_alone_where_the_config_says_so():
    assert len(grid.searching(study())) == 9
    largest = study({"runs": "largest"}, cells=PLUS)
    assert {run.subset for run in grid.searching(largest)} == {"1024"}
    assert len(grid.searching(largest)) == 3
    none = yaml.safe_load(SMALL)
    none["evaluation"]["full_retrieval"] = False
    assert grid.searching(check_config(none)) == []
    with pytest.raises(StudyError, match=r"plan\.metric: 1-ndcg_10 is not measured of every run"):
        config = yaml.safe_load(SMALL)
        config["evaluation"]["full_retrieval"]["runs"] = "largest"
        config["plan"]["metric"] = "1-ndcg_10"
        check_config(config)


def test_steps_take_the_place_of_epochs():
    assert "--epochs" not in stage_arguments.train(study(steps=30), "L1H8")
    assert "--steps 30" in stage_arguments.train(study(steps=30), "L1H8")
    assert "--steps" not in stage_arguments.train(study(), "L1H8")
    with pytest.raises(StudyError, match=r"training\.snapshots\.steps: 20 is not before the end .* step 20"):
        study(steps=20)
    with pytest.raises(StudyError, match="is not before the end of the run on all queries, step 20"):
        study(steps=20, train_queries=[None])


def test_costs_count_the_cells_the_steps_and_the_runs_that_search():
    def flops(config, stage):
        return {job.target: job.flops for job in cost_estimates.job_work(config, SIZE) if job.stage == stage}

    whole, plus = flops(study(), "train"), flops(study(cells=PLUS), "train")
    assert plus == {target: whole[target] for target in plus}
    assert len(plus) == 6
    by_steps = flops(study(steps=64), "train")  # 64 steps of 32 queries: two passes over the largest subset
    largest = RunId("base", "L1H8", "1024", 42)
    (end,) = [target for target in whole if str(largest) in target]
    assert by_steps[end] == pytest.approx(whole[end])
    assert by_steps[end.replace("1024", "256")] == pytest.approx(whole[end])
    everyone, few = flops(study(), "retrieve"), flops(study({"runs": "largest"}), "retrieve")
    assert all((few[t] == everyone[t]) == ("/1024/" in t) for t in few)
    runs = [cost_estimates.disk(config, SIZE, 1)[0]["runs"] for config in (study(), study({"runs": "largest"}))]
    assert runs[1] / runs[0] == pytest.approx(5 / 11)  # three ends and two snapshots of eleven checkpoints
