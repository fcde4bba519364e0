"""Losses: by hand, through the learner; and that a new one is one entry."""

import dataclasses
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.factory import from_scratch
from rankscale.stages import train
from rankscale.study.config import objectives, schema
from rankscale.training.distributed import ProcessGroup
from rankscale.training.learner import Learner
from rankscale.training.objectives import registry
from rankscale.training.objectives.base import Objective, Targets
from rankscale.training.objectives.contrastive.infonce import InfoNCE
from rankscale.training.objectives.registry import make_objective
from tests.unit.training.small_collection import log_of
from tests.unit.training.test_trainer import command, published

# Two queries, two passages each; their inner products are 1, 0, 1, 3 and 0, 2, 2, 0.
QUERIES, PASSAGES = [[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [3.0, 0.0]]


def loss_of(targets, in_batch, inverse_temperature=1.0):
    model = BiEncoder(from_scratch(1, 4, 2, 10, 4), 2)
    options = ("fp32", 0.0, None, inverse_temperature)
    learner = Learner(model, InfoNCE(in_batch), torch.device("cpu"), ProcessGroup(), *options)
    loss, (gradient,) = learner._loss_on_vectors([torch.tensor(QUERIES + PASSAGES)], targets, (2, 2))
    assert gradient.shape == (6, 2)
    return loss.item()


def test_own_negatives_only():
    # Scores 1, 0 and 2, 0: the losses are log(1 + e^-1) and log(1 + e^-2).
    own = Targets(torch.zeros(2, dtype=torch.long))
    expected = np.mean([np.log1p(np.exp(-1)), np.log1p(np.exp(-2))])
    assert loss_of(own, in_batch=False) == pytest.approx(expected, abs=1e-6)
    halved = np.mean([np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1))])
    assert loss_of(own, in_batch=False, inverse_temperature=0.5) == pytest.approx(halved, abs=1e-6)


def test_the_batch_s_false_negatives_are_masked():
    ignore = torch.zeros(2, 4, dtype=torch.bool)
    ignore[0, 2] = True  # the second query's positive answers the first query too
    # Scores of the first: 1, 0, (1), 3; of the second: 0, 2, 2, 0 with its positive third.
    first = -1 + np.log(np.exp(1) + 1 + np.exp(3))
    second = -2 + np.log(1 + np.exp(2) + np.exp(2) + 1)
    loss = loss_of(Targets(torch.tensor([0, 2]), ignore), in_batch=True)
    assert loss == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_loss_of_each_query_and_that_of_chance():
    scores, targets = torch.zeros(3, 5), Targets(torch.tensor([0, 2, 4]))
    chance = InfoNCE(True).chance(5)
    assert InfoNCE(True)(scores, targets).tolist() == pytest.approx([chance] * 3)


def test_targets_of_some_queries():
    targets = Targets(torch.arange(4), ignore=torch.eye(4, dtype=torch.bool))
    rows = targets.rows(1, 3)
    assert rows.positive.tolist() == [1, 2]
    assert rows.ignore.shape == (2, 4)
    assert rows.teacher is None


def test_the_config_knows_the_losses_that_there_are():
    assert objectives() == sorted(registry.OBJECTIVES)


@pytest.mark.parametrize("name", registry.OBJECTIVES)
def test_a_loss_is_what_the_schema_says_of_it(name):
    loss, entry = registry.OBJECTIVES[name], schema()["$defs"]["losses"][name]
    fields = {field.name: field.default for field in dataclasses.fields(loss) if field.name != "in_batch"}
    assert fields == {key: rule["default"] for key, rule in entry["properties"].items()}
    assert loss.needs == set(entry["needs"])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("nonce", None, "training.objective.name: there is no loss nonce; there are infonce, "),
        ("infonce", '{"margin": 2}', "infonce cannot be made with .*margin"),
        ("infonce", "[1]", "infonce cannot be made with"),
        ("infonce", "{", "infonce cannot be made with"),
    ],
)
def test_a_loss_that_cannot_be_made_is_named(name, parameters, message):
    with pytest.raises(StudyError, match=message):
        make_objective(name, parameters, in_batch=False)


@dataclass(frozen=True)
class Hinge(Objective):
    """Largest violation of a margin: a loss that somebody adds."""

    margin: float = 1.0

    def __call__(self, scores, targets):
        positive = scores.gather(1, targets.positive[:, None])
        violations = (self.margin + scores - positive).scatter(1, targets.positive[:, None], 0.0)
        return violations.relu().amax(1)

    def chance(self, columns):
        return self.margin


@pytest.fixture
def signals():
    """The stage ignores signals once a run is published; tests must not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("negatives", ["mined", "mined+in_batch"])
def test_a_new_loss_is_one_entry(shared, tmp_path, monkeypatch, signals, negatives):
    monkeypatch.setitem(registry.OBJECTIVES, "hinge", Hinge)
    recipe = ("--negatives", negatives, "--epochs", 4, "--learning-rate", 1e-2)
    for name, loss in (
        ("one", ("hinge",)),
        ("three", ("hinge", "--objective-parameters", '{"margin": 3}')),
        ("plain", ("infonce",)),
    ):
        train.main(train.arguments().parse_args(command(shared, tmp_path / name, *recipe, "--objective", *loss)))
    one, three = log_of(tmp_path / "one"), log_of(tmp_path / "three")
    assert three[0] == pytest.approx(one[0] + 2, abs=1e-5)  # the same scores, another margin
    assert one[-4:].mean() < one[:4].mean()
    assert published(tmp_path / "one")["final.safetensors"] != published(tmp_path / "plain")["final.safetensors"]


def test_a_loss_that_needs_what_is_not_there_is_refused(shared, tmp_path, monkeypatch, signals):
    monkeypatch.setattr(Hinge, "needs", frozenset({"teacher"}))
    monkeypatch.setitem(registry.OBJECTIVES, "hinge", Hinge)
    with pytest.raises(StudyError, match=r"training\.teacher: hinge needs one"):
        train.main(train.arguments().parse_args(command(shared, tmp_path, "--objective", "hinge")))
