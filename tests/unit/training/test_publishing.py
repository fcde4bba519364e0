"""The published weights: the mean over the last steps, the same after a kill and in several processes."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rankscale.core.interrupts import Stop
from rankscale.core.options import parsed
from rankscale.stages.train import arguments
from rankscale.storage import tables
from rankscale.training.distributed import ProcessGroup
from rankscale.training.options import TrainOptions
from rankscale.training.publishing import WeightAverage
from rankscale.training.setup import set_up
from rankscale.training.trainer import Trainer
from tests.conftest import ROOT, run
from tests.unit.training.test_trainer import command, published, train

STEPS = 20  # on 128 queries in batches of 16: two passes and a half
AVERAGED = ("--steps", STEPS, "--average", 0.3)  # of the last six steps


def weights(folder, name):
    return load_file(folder / f"run/{name}.safetensors")


@pytest.fixture(scope="module")
def averaged(shared, tmp_path_factory):
    """A run with a snapshot of each step before the end, and the mean at its end."""
    folder = tmp_path_factory.mktemp("averaged")
    train(shared, folder, *AVERAGED, "--snapshots", *range(1, STEPS))
    return folder


def test_the_final_weights_are_the_mean_of_those_after_each_of_the_last_steps(shared, averaged, tmp_path):
    train(shared, tmp_path, "--steps", STEPS)
    last = [weights(averaged, step) for step in range(STEPS - 5, STEPS)] + [weights(tmp_path, "final")]
    mean = weights(averaged, "final")
    assert any(not torch.equal(mean[name], last[-1][name]) for name in mean)
    for name, value in mean.items():
        expected = torch.stack([each[name].double() for each in last]).mean(0)
        assert torch.equal(value, expected.to(value.dtype)), name


def test_steps_count_in_the_place_of_epochs(averaged):
    rows = tables.read("checkpoints", averaged / "run/checkpoints.parquet").to_pandas()
    assert rows.step.tolist() == list(range(1, STEPS + 1))
    assert rows.epoch.iloc[-1] == pytest.approx(2.5)
    epochs = tables.read("training", averaged / "run/training.parquet")["epoch"].to_numpy()
    assert np.allclose(epochs, np.arange(1, STEPS + 1) / 8)


def test_the_mean_of_a_run_killed_within_the_last_steps_is_that_of_an_undisturbed_one(shared, averaged, tmp_path):
    """Left as a kill leaves it: a state inside the window, and no more of the process."""
    words = command(shared, tmp_path, *AVERAGED, "--save-steps", 1, "--snapshots", *range(1, STEPS))
    options = parsed(TrainOptions, arguments().parse_args(words))

    class Killed(Exception):
        pass

    trainer = Trainer(set_up(options, ProcessGroup()))
    save = trainer.save

    def killed_after_saving():
        save()
        if trainer.run.record.step == STEPS - 3:
            raise Killed

    trainer.save = killed_after_saving
    with pytest.raises(Killed):
        trainer.train(Stop())
    done = train(shared, tmp_path, *AVERAGED, "--snapshots", *range(1, STEPS))
    assert f"going on from the state at step {STEPS - 3} of {STEPS}" in done.stdout
    assert published(tmp_path) == published(averaged)


def test_two_processes_publish_the_mean_too(shared, averaged, tmp_path):
    two = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "rankscale", "train"]
    run([*two, *command(shared, tmp_path, *AVERAGED)], ROOT)
    expected = weights(averaged, "final")
    for name, value in weights(tmp_path, "final").items():
        assert torch.allclose(value, expected[name], atol=1e-5), name


@pytest.mark.parametrize(("share", "steps", "first"), [(0.1, 30, 28), (0.3, 10, 8), (1.0, 5, 1), (0.01, 5, 5)])
def test_the_last_share_is_at_least_one_step(share, steps, first):
    average = WeightAverage(share, steps)
    assert (average.first, average.count) == (first, steps - first + 1)
