"""A study at work, seen from outside: states of runs by what lies there, and what the screen says of them."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from rankscale.core.layout import RunId
from rankscale.follow import screen
from rankscale.follow.training_runs import DIVERGED, DONE, FAILED, RUNNING, WAITING, RunState, run_state, states
from rankscale.storage import schemas, tables

BEGUN = "train: m on 100 queries, 200 steps of 32 queries (32 at once, 1 processes), seed 1, mined negatives, fp32: ..."
RUN = RunId("base", "m", "100", "1")


def log_of(study, *lines, run=RUN):
    path = study / f"logs/train/{run}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("train: on cpu, 1 threads", *lines)) + "\n")
    return path


def state_of(study, steps, seconds=0.5):
    """A saved state after so many steps, the loss falling from 5 by 0.01 a step."""
    step = np.arange(1, steps + 1)
    ones = np.ones(steps)
    columns = {"step": step, "loss": 5 - step / 100, "seconds": seconds * ones, "learning_rate": 0.001 * ones}
    columns |= {"gradient_norm": ones, "inverse_temperature": ones}
    folder = study / f"scratch/{RUN}/0123456789abcdef"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"log/{name}": values.astype(int if name == "step" else float) for name, values in columns.items()}
    save_file(tensors, folder / f"{steps:010}.safetensors", {"rankscale": json.dumps({"step": steps})})


def published(study, status, run=RUN, step=200):
    columns = dict.fromkeys(schemas.SCHEMAS["checkpoints"].names, 1)
    columns |= {"variant": run.variant, "model": run.model, "train_queries": int(run.subset), "seed": int(run.seed)}
    columns |= {"step": step, "subset": run.subset, "checkpoint": "final", "status": status}
    tables.write("checkpoints", columns, study / f"models/{run}/checkpoints.parquet")


def test_a_run_is_done_when_it_is_published(tmp_path):
    log_of(tmp_path, BEGUN, "train: loss 3.1 over the last 50 steps", "train: done in 12.5 s on vm: 1 x cpu, 1 s of")
    published(tmp_path, "finished")
    assert run_state(tmp_path, RUN) == RunState(RUN, DONE, 200, 200, seconds=12.5)
    published(tmp_path, "diverged", step=40)
    assert run_state(tmp_path, RUN).state == DIVERGED


def test_a_run_at_work_is_as_far_as_its_state_or_its_log_says(tmp_path):
    log_of(tmp_path, BEGUN)
    assert run_state(tmp_path, RUN) == RunState(RUN, RUNNING, 0, 200)
    state_of(tmp_path, 60)
    state = run_state(tmp_path, RUN)
    assert (state.step, state.steps) == (60, 200)
    assert state.loss == pytest.approx(5 - np.arange(11, 61).mean() / 100)  # of the last 50
    assert state.seconds_left == pytest.approx(70)  # 140 steps at half a second
    log_of(tmp_path, BEGUN, "train: step 100 of 200, loss 3.250, some 5 minutes left")
    later = run_state(tmp_path, RUN)
    assert (later.step, later.loss, later.seconds_left) == (100, 3.25, pytest.approx(300))


def test_a_torn_state_is_passed_over_for_the_one_before(tmp_path):
    log_of(tmp_path, BEGUN)
    state_of(tmp_path, 60)
    state_of(tmp_path, 90)
    path = next(tmp_path.glob("scratch/**/*90.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    assert run_state(tmp_path, RUN).step == 60


def test_a_run_that_ended_otherwise_failed_and_says_why(tmp_path):
    path = log_of(tmp_path, BEGUN, "train: m: the model does not fit in memory")
    assert run_state(tmp_path, RUN) == RunState(RUN, FAILED, message="train: m: the model does not fit in memory")
    path = log_of(tmp_path, BEGUN)
    os.utime(path, (1e9, 1e9))
    assert run_state(tmp_path, RUN, now=1e9 + 300).state == RUNNING
    silent = run_state(tmp_path, RUN, now=1e9 + 3600)
    assert silent.state == FAILED
    assert silent.message.endswith("(silent for 60 minutes)")
    assert run_state(tmp_path, RunId("base", "other", "100", "1")).state == WAITING


def test_a_run_that_is_refined_is_seen_by_that_stages_log(tmp_path):
    path = log_of(tmp_path, BEGUN)
    other = tmp_path / "logs/refine" / path.relative_to(tmp_path / "logs/train")
    other.parent.mkdir(parents=True)
    path.rename(other)
    other.write_text(other.read_text().replace("train: ", "refine: "))
    (state,) = states(tmp_path)
    assert (state.run, state.state, state.steps) == (RUN, RUNNING, 200)


def test_expected_runs_come_first_and_each_once(tmp_path):
    log_of(tmp_path, BEGUN)
    other = RunId("base", "n", "100", 1)
    assert [state.run.model for state in states(tmp_path, [other, RunId("base", "m", "100", 1)])] == ["n", "m"]


def test_time_left_is_at_the_rate_of_what_runs_now():
    done = RunState(RUN, DONE, 200, 200, seconds=100.0)
    running = RunState(RUN, RUNNING, 150, 200, 3.0, 0.5)  # 25 s left of 100
    waiting = RunState(RUN, WAITING)
    assert screen.time_left([done, running, waiting]) == pytest.approx(25 + 100)
    assert screen.time_left([done, running, running, waiting, waiting]) == pytest.approx((50 + 200) / 2)
    assert screen.time_left([done]) is None
    assert screen.time_left([waiting]) is None


def test_the_screen_says_all_of_it(tmp_path):
    log_of(tmp_path, BEGUN)
    state_of(tmp_path, 100)
    failed = RunId("base", "bad", "100", "1")
    log_of(tmp_path, BEGUN, "train: m: no space left", run=failed)
    stage = tmp_path / "logs/fit.log"
    stage.write_text("fit: laws.metrics: none\n")
    os.utime(stage, (1e9, 1e9))
    text = screen.screen(tmp_path, states(tmp_path, [RunId("base", "later", "100", 1)]))
    assert "0 of 3 runs done, 1 running, 1 waiting, 1 failed" in text
    assert "base/m/100/1  step 100 of 200  loss 4.245  2.0 steps/s  50 s left" in text
    assert "base/bad/100/1 failed: train: m: no space left" in text
    assert "logs/fit.log did not end well: fit: laws.metrics: none" in text
