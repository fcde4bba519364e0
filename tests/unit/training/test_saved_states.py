"""Killed, asked to stop, on a full disk, over a damaged state: the run ends in the bytes of an undisturbed one."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rankscale.core.interrupts import Stop
from rankscale.core.options import parsed
from rankscale.stages.train import arguments
from rankscale.storage import tables
from rankscale.training.distributed import ProcessGroup
from rankscale.training.options import TrainOptions
from rankscale.training.saved_states import SavedStates
from rankscale.training.setup import set_up
from rankscale.training.trainer import Trainer
from tests.conftest import ROOT
from tests.unit.training.test_trainer import command, copied, published, train

LONG = ("--epochs", 12, "--save-steps", 5, "--snapshots", 3, 40, "--negatives", "mined+in_batch", "--hidden", 32)


def trainer(shared, folder, *more):
    """The trainer of a run, in this process."""
    options = parsed(TrainOptions, arguments().parse_args(command(shared, folder, *more)))
    return Trainer(set_up(options, ProcessGroup()))


def begin(shared, folder, *more):
    """A run in the background, and its log."""
    words = [sys.executable, "-m", "rankscale", "train", *command(shared, folder, *LONG, *more)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def states(folder):
    return sorted(path for path in (folder / "scratch").glob("*/0*.safetensors"))


def wait_for_a_state(folder, process):
    while not states(folder):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(shared, folder, *LONG)
    assert not (folder / "scratch").exists()
    return published(folder)


def kill_until_finished(shared, folder, kills):
    """Kill a run so often, each time a little after it began to save, and let it end; how often it went on."""
    chance, resumed = random.Random(kills), 0
    for _ in range(kills):
        process = begin(shared, folder, "--save-steps", 1)
        wait_for_a_state(folder, process)
        before = states(folder)
        while states(folder) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.1)  # some steps later, or in the midst of a save
        process.kill()
        resumed += "going on from the state" in process.communicate()[0]
    done = train(shared, folder, *LONG)
    return resumed + ("going on from the state" in done.stdout)


def test_a_killed_run_ends_in_the_same_bytes(shared, tmp_path, undisturbed):
    # --save-steps of the killed runs differs from the last one's: when a state is saved is no part of the recipe.
    assert kill_until_finished(shared, tmp_path, 3) == 3
    assert published(tmp_path) == undisturbed
    assert tables.count(tmp_path / "run/times.parquet") == 96


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_stop_keeps_its_state(shared, tmp_path, undisturbed, number, code):
    process = begin(shared, tmp_path, "--save-steps", 1)  # from its first step on
    wait_for_a_state(tmp_path, process)
    process.send_signal(number)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == code
    step = int(output.rpartition("the state at step ")[2].partition(" ")[0])
    assert "Traceback" not in output
    assert not list((tmp_path / "run").iterdir())
    began = time.monotonic()
    done = train(shared, tmp_path, *LONG)
    took = time.monotonic() - began
    assert f"going on from the state at step {step} of 96" in done.stdout
    assert float(re.search(r"done in ([\d.]+) s", done.stdout)[1]) > took, "the first attempt counts too"
    assert published(tmp_path) == undisturbed


def test_a_signal_that_comes_while_torch_is_imported_is_remembered(shared, tmp_path, undisturbed):
    process = begin(shared, tmp_path)
    status = Path(f"/proc/{process.pid}/status")
    # Its own handler is there before the import: the mask of caught signals tells.
    while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) >> (signal.SIGUSR1 - 1) & 1:
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 75
    assert "asked to stop (SIGUSR1): the state at step 1 is kept" in output
    train(shared, tmp_path, *LONG)
    assert published(tmp_path) == undisturbed


def test_a_signal_that_comes_while_a_state_is_saved_is_not_lost(shared, tmp_path, monkeypatch):
    stopped = trainer(shared, tmp_path, *LONG, "--save-steps", 1)
    states, saved = stopped.run.states, []

    def save(step, *content, whole=states.save):
        saved.append(step)
        if step == 3:
            signal.raise_signal(signal.SIGUSR1)
        return whole(step, *content)

    monkeypatch.setattr(states, "save", save)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        with pytest.raises(SystemExit) as left:
            stopped.train(Stop())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert left.value.code == 75
    assert saved == [1, 2, 3, 4]


def test_two_processes_do_not_train_one_run_at_once(shared, tmp_path, undisturbed):
    first = begin(shared, tmp_path, "--epochs", 24)  # another recipe, the same folder
    wait_for_a_state(tmp_path, first)
    first.send_signal(signal.SIGSTOP)  # so that it does not end before the other one has begun
    second = begin(shared, tmp_path)
    while "waiting for it to end" not in (line := second.stdout.readline()):
        assert line, second.poll()
    first.terminate()
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=300)
    assert "Traceback" not in second.communicate(timeout=300)[0]
    assert published(tmp_path) == undisturbed


@pytest.fixture(scope="module")
def stopped(shared, tmp_path_factory):
    """A copy of a run stopped with two states kept, in a folder of the caller's: its states."""
    run_folder = tmp_path_factory.mktemp("stopped")
    process = begin(shared, run_folder)
    while len(states(run_folder)) < 2:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=300)

    def copy(folder):
        shutil.copytree(run_folder / "scratch", folder / "scratch")
        return states(folder)

    return copy


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a bit turned": flipped,
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_text("not a state"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_falls_back_to_the_one_before(shared, stopped, tmp_path, undisturbed, damage):
    older, newest = stopped(tmp_path)[-2:]
    DAMAGES[damage](newest)
    done = train(shared, tmp_path, *LONG)
    assert f"{newest}: damaged" in done.stdout
    assert f"going on from the state at step {int(older.stem)} of" in done.stdout
    assert published(tmp_path) == undisturbed


def test_without_a_whole_state_or_its_snapshots_the_run_begins_anew(shared, stopped, tmp_path, undisturbed):
    stopped(tmp_path)
    (lost,) = (tmp_path / "scratch").glob("*/checkpoints/3.safetensors")
    lost.unlink()
    done = train(shared, tmp_path, *LONG)
    assert "going on" not in done.stdout
    assert "3.safetensors" in done.stdout
    assert published(tmp_path) == undisturbed


def test_two_damaged_states_do_not_crowd_out_new_ones(shared, stopped, tmp_path, undisturbed):
    for path in stopped(tmp_path):
        flipped(path)
    process = begin(shared, tmp_path, "--save-steps", 1)
    # Listed once a turn: between two listings the run may replace them.
    while not (state_files := states(tmp_path)) or int(state_files[-1].stem) > 4:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert "going on from the state at step" in train(shared, tmp_path, *LONG).stdout
    assert published(tmp_path) == undisturbed


def test_a_state_under_other_special_tokens_is_not_used(shared, stopped, tmp_path):
    stopped(tmp_path)
    other = copied(shared, tmp_path / "other")
    special = other / "tokens/wordpiece/special.json"
    special.write_text(special.read_text().replace('"before": [2]', '"before": [5]'))
    assert "[5]" in special.read_text()
    assert "going on" not in train(other, tmp_path, *LONG).stdout


def test_a_divergence_between_two_checks_is_found_before_a_save(shared, tmp_path):
    """On a GPU losses are looked at every sixteen steps; a save in between must not hide one."""
    astray = trainer(shared, tmp_path, "--device", "cpu", "--learning-rate", 1e30, "--save-steps", 5)
    run = astray.run
    for number in range(1, 4):
        batch = next(run.loader.iterate_from(number - 1, run.steps))
        run.record.begin(number, 1e30, 1, 1.0)
        run.record.end(*run.learner.step(batch, 1e30), run.device)
    run.record.sync()  # as a save does
    assert astray.has_diverged()
    assert astray.divergent_step == 2


def test_what_a_killed_writer_left_is_not_published(shared, stopped, tmp_path, undisturbed):
    newest = stopped(tmp_path)[-1]
    (newest.parent / ".tmpAbC").write_bytes(b"half a state")
    (newest.parent / "checkpoints/.tmpXyZ").write_bytes(b"half a checkpoint")
    train(shared, tmp_path, *LONG)
    assert published(tmp_path) == undisturbed


def test_a_process_that_waits_can_be_asked_to_stop(shared, tmp_path):
    first = begin(shared, tmp_path)
    wait_for_a_state(tmp_path, first)
    first.send_signal(signal.SIGSTOP)
    second = begin(shared, tmp_path)
    while "waiting for it to end" not in second.stdout.readline():
        assert second.poll() is None
    second.terminate()
    assert "nothing was begun" in second.communicate(timeout=300)[0]
    assert second.returncode == 75
    first.kill()


def test_a_state_of_another_recipe_is_set_aside(shared, stopped, tmp_path, undisturbed):
    kept = stopped(tmp_path)
    other = train(shared, tmp_path, *LONG, "--learning-rate", 2e-3, "--save-steps", 1000, check=True)
    assert "made under another recipe, set aside" in other.stdout
    assert "going on" not in other.stdout
    assert published(tmp_path) != undisturbed
    assert not any(path.exists() for path in kept)  # a finished run leaves nothing behind


def test_a_full_disk_costs_the_state_not_the_older_one(tmp_path, caplog):
    kept = SavedStates(tmp_path, "f" * 64, 60, None)
    tensors = {"weights/a": torch.arange(5000.0)}
    facts = {"checkpoints": {}}
    assert kept.save(1, tensors, facts)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert not kept.save(2, tensors, facts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "the state at step 2 cannot be saved" in caplog.text
    newest, _ = kept.newest()
    assert np.array_equal(newest["weights/a"], tensors["weights/a"])
    assert [p.name for p in kept.folder.iterdir() if p.is_file()] == ["0000000001.safetensors"]


def test_saving_takes_a_small_share_of_the_time(tmp_path):
    kept = SavedStates(tmp_path, "f" * 64, 0.0, None)
    assert kept.due(1)
    kept.last_save_seconds, kept.last_save = 1.0, time.monotonic()  # a state that took a second waits for fifty
    assert not kept.due(2)
    kept.last_save -= 51
    assert kept.due(3)
