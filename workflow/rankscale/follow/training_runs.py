"""The training runs of a study as they stand, seen from outside: by what they publish, their logs and their states.

Nothing is written or locked: a run goes on as if nobody looked.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open

from rankscale.core.layout import PUBLISHED, RunId
from rankscale.storage import tables

DONE, DIVERGED, RUNNING, FAILED, WAITING = "done", "diverged", "running", "failed", "waiting"
STEP = re.compile(r"step (\d+) of (\d+), loss (\S+), some (\d+) minutes left$")
STEPS = re.compile(r", (\d+) steps of \d+ queries ")
# How the last line of a run that goes on may begin; what ended without "done" has another.
TRAINING = ("train", "refine")  # the stages that train
GOING = re.compile(
    r"^(?:train|refine): (on \S+, \d+ threads|step \d+ of|going on from|loss [\d.]+ over|.* steps of \d+ queries )"
)
SILENT = 600.0  # seconds; a run says something every minute
RECENT = 50  # steps, that loss and rate are means of
LOGGED = ("step", "loss", "seconds", "learning_rate", "gradient_norm", "inverse_temperature")


class RunState(NamedTuple):
    """A run: its state, how far it is, the mean loss and seconds of its last steps, and its last line if it failed."""

    run: RunId
    state: str
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    seconds_a_step: float | None = None
    seconds: float | None = None  # that it took, once it is done
    message: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Of a run that goes on, at the rate of its last steps."""
        if self.state != RUNNING or self.steps is None or self.seconds_a_step is None:
            return None
        return (self.steps - self.step) * self.seconds_a_step


def runs_seen(study: Path) -> list[RunId]:
    """Every run that has a folder or a log."""
    folders = (
        path.parent.relative_to(study / "models").parts for path in study.glob(f"models/*/*/*/*/{PUBLISHED[-1]}")
    )
    logs = (
        path.with_suffix("").relative_to(study / f"logs/{stage}").parts
        for stage in TRAINING
        for path in study.glob(f"logs/{stage}/*/*/*/*.log")
    )
    return sorted({RunId(*parts) for parts in (*folders, *logs)}, key=str)


def log_of(study: Path, run: RunId) -> Path:
    """The log of a run, by whichever stage trains it."""
    paths = [study / f"logs/{stage}/{run}.log" for stage in TRAINING]
    return next((path for path in paths if path.exists()), paths[0])


def run_state(study: Path, run: RunId, now: float | None = None) -> RunState:
    """How a run of the study in a folder stands; `now` is in seconds since 1970."""
    log = log_of(study, run)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    published = study / f"models/{run}" / PUBLISHED[-1]
    if published.exists():
        rows = tables.read("checkpoints", published, ["checkpoint", "step", "status"]).to_pylist()
        last = rows[-1]
        seconds = re.search(r"done in ([\d.]+) s", lines[-1]) if lines else None
        status = DONE if last["status"] == "finished" else DIVERGED
        took = float(seconds[1]) if seconds else None
        return RunState(run, status, last["step"], last["step"], seconds=took)
    if not lines:
        return RunState(run, WAITING)
    silent = (time.time() if now is None else now) - log.stat().st_mtime
    if not GOING.match(lines[-1]) or silent > SILENT:
        silence = f" (silent for {silent / 60:.0f} minutes)" if GOING.match(lines[-1]) else ""
        return RunState(run, FAILED, message=lines[-1] + silence)
    steps = next((int(found[1]) for line in reversed(lines) if (found := STEPS.search(line))), None)
    step, loss, rate = 0, None, None
    recorded = log_so_far(study, run)
    if recorded is not None and len(recorded["step"]):
        step, loss = int(recorded["step"][-1]), float(recorded["loss"][-RECENT:].mean())
        rate = float(recorded["seconds"][-RECENT:].mean())
    progress = next((match for line in reversed(lines) if (match := STEP.search(line))), None)
    if progress and int(progress[1]) > step:
        step, steps, loss = int(progress[1]), int(progress[2]), float(progress[3])
        left = 60 * int(progress[4])
        rate = left / (steps - step) if left and steps > step else rate
    return RunState(run, RUNNING, step, steps, loss, rate)


def log_so_far(study: Path, run: RunId) -> dict[str, np.ndarray] | None:
    """The log of a run that is at work, by column, up to its newest state; None where it has none yet.

    A state that is replaced while it is read, or is damaged, counts as none.
    """
    states = sorted(study.glob(f"scratch/{run}/*/[0-9]*.safetensors"), key=lambda path: path.name)
    for path in reversed(states):
        try:
            with safe_open(path, "np") as file:
                return {name: file.get_tensor(f"log/{name}") for name in LOGGED}
        except Exception:  # safetensors has an error class of its own; the run makes another state soon
            continue
    return None


def states(study: Path, expected: Iterable[RunId] = ()) -> list[RunState]:
    """All runs that are expected or seen, as they stand."""
    wanted = dict.fromkeys(RunId(*map(str, run)) for run in expected)
    return [run_state(study, run) for run in dict.fromkeys([*wanted, *runs_seen(study)])]
