"""The longest trainings go first, by parameters times queries worked out by hand."""

from rankscale.core.layout import RunId
from rankscale.study.costs.training_order import training_priorities
from tests.unit.study.test_grid import study

# 12 H^2 + 13 H of one layer: 872, 3,280 and 12,704; times the subset's queries.
BY_HAND = ["L1H8/256", "L1H8/512", "L1H16/256", "L1H8/1024", "L1H16/512", "L1H32/256", "L1H16/1024", "L1H32/512"]
BY_HAND += ["L1H32/1024"]


def in_order(config):
    priorities = training_priorities(config)
    assert all(0 < value < 1 for value in priorities.values())  # below evaluations, whose priority is 1
    assert len(set(priorities.values())) == len(priorities)
    return [f"{run.model}/{run.subset}" for run in sorted(priorities, key=priorities.__getitem__)]


def test_more_parameters_times_queries_go_first():
    assert in_order(study()) == BY_HAND


def test_the_whole_collection_goes_before_its_subsets():
    assert in_order(study(train_queries=[512, 1024, None]))[-2:] == ["L1H32/1024", "L1H32/all"]


def test_a_model_whose_size_cannot_be_told_counts_as_the_largest():
    config = study()
    config["models"][0] = {"name": "fetched", "checkpoint": "someone/something"}
    priorities = training_priorities(config)
    seed = config["training"]["seeds"][0]
    assert priorities[RunId("base", "fetched", "1024", seed)] > priorities[RunId("base", "L1H16", "1024", seed)]
