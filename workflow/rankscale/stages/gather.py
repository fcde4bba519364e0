"""Gather the scores of a study's checkpoints, with the facts of their training; list the runs that have none."""

import argparse
from pathlib import Path

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.report.narrative import describe_missing_runs as told
from rankscale.storage import schemas, tables
from rankscale.storage.schemas import UNFINISHED


def main(args: argparse.Namespace) -> None:
    """Write one row per checkpoint, split and kind of candidates, and one per run that diverged or is not finished."""
    rows: list[dict] = []
    left_out = [
        {"model": model, "subset": subset, "seed": int(seed), "status": UNFINISHED}
        for model, subset, seed in (run.split("/") for run in args.unfinished)
    ]
    _refuse_equal(args.runs)
    for path in args.runs:
        for checkpoint in tables.read("checkpoints", path).to_pylist():
            key = {k: checkpoint[k] for k in ("model", "train_queries", "seed", "step")}
            if checkpoint["status"] != "finished":
                left_out.append({**key, "subset": checkpoint["subset"], "status": checkpoint["status"]})
                continue
            place = Path(key["model"], checkpoint["subset"], str(key["seed"]), f"{checkpoint['checkpoint']}.parquet")
            for row in tables.read("scores", args.scores / place).to_pylist():
                wrong = [k for k in key if row[k] != key[k]]
                if wrong:
                    raise StudyError(
                        f"{args.scores / place}: {wrong[0]} is {row[wrong[0]]}, {path} says {key[wrong[0]]}"
                    )
                rows.append({"study": args.study, "collection": args.collection, **checkpoint, **row})
    if not rows:
        raise StudyError(f"no run is left to be judged, all diverged; lower training.learning_rate. {told(left_out)}")
    for name, found, path in (("metrics", rows, args.output), ("left_out", left_out, args.left_out)):
        tables.write(name, pa.Table.from_pylist(found, schema=schemas.SCHEMAS[name]), path)
    if left_out:
        log.warning("%s", told(left_out))
    flagged = sum(row["below_chance"] for row in rows), sum(row["too_few_queries"] for row in rows)
    log.info(
        "%d rows of %d runs; %d not above chance, %d with too few queries",
        len(rows),
        len(args.runs),
        *flagged,
    )


def _refuse_equal(paths: list[Path]) -> None:
    """Two names of one subset (a number, and all) would count each of its runs twice."""
    seen: dict[tuple, str] = {}
    for path in paths:
        for row in tables.read("checkpoints", path).to_pylist():
            key = tuple(row[k] for k in ("model", "train_queries", "seed", "step"))
            other = seen.setdefault(key, row["subset"])
            if other != row["subset"]:
                raise StudyError(
                    f"training.train_queries: {other} and {row['subset']} are the same {row['train_queries']} queries "
                    f"of this collection; take one of them out"
                )


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("gather", __doc__)
    made.add_argument("--study", required=True)
    made.add_argument("--collection", required=True)
    made.add_argument("--runs", type=Path, nargs="+", required=True, help="checkpoints.parquet of each run")
    made.add_argument("--unfinished", nargs="*", default=[], help="runs to come, as model/subset/seed")
    made.add_argument("--scores", type=Path, required=True, help="folder of the scores of all checkpoints")
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--left-out", type=Path, required=True, help="output: the runs that are in no other table")
    return made
