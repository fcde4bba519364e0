"""A running study as a screen of text."""

import time
from pathlib import Path

from rankscale.follow.training_runs import DIVERGED, DONE, FAILED, RUNNING, TRAINING, RunState
from rankscale.study.failed_jobs import failures

WIDTH = 24  # of the bar
SHOWN = 12  # runs, of each state
BUSY = 120.0  # seconds; a stage whose log is younger may still be at work


def screen(study: Path, runs: list[RunState]) -> str:
    """How many runs are done, what runs with loss and rate, the time that is left, and what failed."""
    by_state = {state: [run for run in runs if run.state == state] for state in {run.state for run in runs}}
    done, diverged, running, failed = (by_state.get(state, []) for state in (DONE, DIVERGED, RUNNING, FAILED))
    finished = len(done) + len(diverged)
    waiting = len(runs) - finished - len(running) - len(failed)
    counts = f"{finished} of {len(runs)} runs done, {len(running)} running, {waiting} waiting"
    counts += f", {len(failed)} failed" if failed else ""
    lines = [f"{study.name}: {_bar(finished / max(len(runs), 1))} {counts}"]
    left = time_left(runs)
    if left is not None and (running or waiting):
        lines[0] += f"; some {_duration(left)} of training left"
    for run in running[:SHOWN]:
        loss = "" if run.loss is None else f"  loss {run.loss:.3f}"
        rate = "" if not run.seconds_a_step else f"  {1 / run.seconds_a_step:.1f} steps/s"
        ahead = "" if run.seconds_left is None else f"  {_duration(run.seconds_left)} left"
        share = run.step / run.steps if run.steps else 0.0
        lines.append(f"  {_bar(share)} {run.run}  step {run.step:,} of {run.steps or 0:,}{loss}{rate}{ahead}")
    lines += [f"  {run.run} diverged after step {run.step:,}" for run in diverged[:SHOWN]]
    lines += [f"  {run.run} failed: {run.message}" for run in failed[:SHOWN]]
    hidden = sum(max(len(part) - SHOWN, 0) for part in (running, diverged, failed))
    lines += [f"  and {hidden} more"] if hidden else []
    lines += other_failures(study)
    return "\n".join(lines)


def other_failures(study: Path) -> list[str]:
    """The stages but training whose logs do not say done, and are no longer written to."""
    now, lines = time.time(), []
    for log, last in failures([study / "logs"], 0.0):
        stage = log.relative_to(study / "logs").parts[0]
        if stage not in TRAINING and now - log.stat().st_mtime > BUSY:
            lines.append(f"  {log.relative_to(study)} did not end well: {last[-1] if last else 'it is empty'}")
    return lines[:SHOWN]


def time_left(runs: list[RunState]) -> float | None:
    """Seconds of training that are left if as many go on at once as now; runs to come take what the others took.

    None where nothing tells.
    """
    lasted = [run.seconds for run in runs if run.seconds is not None]
    lasted += [run.steps * run.seconds_a_step for run in runs if run.steps and run.seconds_a_step]
    running = [run for run in runs if run.state == RUNNING]
    if not lasted or (not running and all(run.state in (DONE, DIVERGED, FAILED) for run in runs)):
        return None
    mean = sum(lasted) / len(lasted)
    waiting = sum(run.state not in (DONE, DIVERGED, FAILED, RUNNING) for run in runs)
    ahead = [mean / 2 if run.seconds_left is None else run.seconds_left for run in running]
    together = (sum(ahead) + waiting * mean) / max(len(running), 1)
    return max([together, *ahead])


def _bar(share: float) -> str:
    full = round(min(max(share, 0.0), 1.0) * WIDTH)
    return f"[{'#' * full}{'.' * (WIDTH - full)}]"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
