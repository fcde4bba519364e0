"""Mirror a study's training logs and metrics to TensorBoard or Trackio, from outside of its processes.

Reads what runs published and the states that they save, and changes nothing: the bytes of results are the same with and
without it. What was mirrored is remembered in OUTPUT, so the command can be stopped and typed again; --follow goes on
until every run is done.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.follow.curves import metric_points, training_points
from rankscale.follow.trackers import TRACKERS, tracker_of
from rankscale.follow.training_runs import RUNNING, WAITING, RunState, states

MIRRORED = "mirrored.json"


def main(args: argparse.Namespace) -> None:
    """Mirror what is new, once or until all runs are done."""
    if not args.study.is_dir():
        raise StudyError(f"{args.study}: there is no such folder; name the study's, as results/demo")
    output = args.output or Path("tracked") / args.study.resolve().name / args.to
    if output.resolve().is_relative_to(args.study.resolve()):
        raise StudyError(f"--output: {output} lies in the study's own folder, which stays as it is; name another")
    while True:
        runs = states(args.study)
        numbers = mirror(args.study, runs, args.to, output)
        log.info("%d runs, %d new numbers in %s", len(runs), numbers, output)
        if not args.follow or (runs and not any(run.state in (RUNNING, WAITING) for run in runs)):
            return
        time.sleep(args.every)


def mirror(study: Path, runs: list[RunState], to: str, output: Path) -> int:
    """Hand the tracker what it does not have yet; how many numbers that were."""
    path = output / MIRRORED
    known: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    count = 0
    for run in (state.run for state in runs):
        seen = known.setdefault(str(run), {"step": 0, "checkpoints": []})
        points = list(training_points(study, run, seen["step"]))
        measured = list(metric_points(study, run, set(seen["checkpoints"])))
        if not points and not measured:
            continue
        tracker = tracker_of(to, output, study.resolve().name, run)
        steps = [point.step for point in points]
        points += sorted((point for _, of_one in measured for point in of_one), key=lambda point: point.step)
        tracker.add(points)
        tracker.close()
        seen["step"] = max([seen["step"], *steps])
        seen["checkpoints"] += [name for name, _ in measured]
        count += len(points)
        with atomic_files.whole(path) as beside:  # after each run: what is killed goes on behind it
            beside.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return count


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("track", __doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("results/demo"), help="its folder")
    parser.add_argument("--to", choices=TRACKERS, required=True)
    parser.add_argument("--output", type=Path, help="folder of the tracker; tracked/STUDY/TRACKER without it")
    parser.add_argument("--follow", action="store_true", help="go on until every run is done")
    parser.add_argument("--every", type=cli.positive, default=30.0, help="with --follow: seconds between two looks")
    return parser
