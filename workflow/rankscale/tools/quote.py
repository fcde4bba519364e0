"""What a study will cost before anything is launched: jobs, device hours, disk, and what is already there.

Jobs are those of Snakemake's own summary. FLOPs are counted from the config and the collection, if it is there already;
hours follow from a device's rate: a named one at a share of its peak, or the measured one of a finished study. Of a
finished study, the one named or this one, it says what would decide the verdicts that it left undecided.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from rankscale.core import cli
from rankscale.core.commands import STAGES
from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.laws.allocation import Prices, cost_model_of_runs
from rankscale.report.answer import open_verdicts
from rankscale.report.verdicts import at_home, headline_of
from rankscale.storage import tables
from rankscale.study import config, config_file, cost_estimates
from rankscale.study.costs import further_collections
from rankscale.study.costs.model_shapes import shape
from rankscale.study.costs.teacher_costs import unknown_teachers

# Dense 16-bit matrix products a second, by the makers' data sheets.
PEAKS = {"v100": 1.25e14, "a100": 3.12e14, "l40s": 3.62e14, "rtx4090": 1.65e14, "h100": 9.89e14, "h200": 9.89e14}


class Planned(NamedTuple):
    """What Snakemake would make: by file, the stage, which of its jobs, and whether it is still to come."""

    stage: str
    job: str
    pending: bool


def planned(arguments: list[str], layout: Layout) -> dict[str, Planned]:
    """All files of the targets, by Snakemake's own summary. Raises StudyError with its message if it cannot say."""
    command = [sys.executable, "-m", "snakemake", "--summary", "--cores", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        output = filter(str.strip, (done.stderr + done.stdout).splitlines())
        lines = [line for line in output if not line.startswith(("Using ", "  File "))]
        raise StudyError(lines[-1] if lines else "the dry run failed")
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 5]
    files = {}
    for file, _, rule, _, _, plan in rows[1:]:
        # What is planned twice in another way is the same stage: train_with_snapshots, sample_with_pool.
        stage = rule.partition("_")[0]
        files[file] = Planned(stage, _job(stage, file, layout), plan != "no update")
    return files


def _job(stage: str, file: str, layout: Layout) -> str:
    """Which of a stage's jobs makes a file: the summary names no wildcards, and a log only where it was written."""
    if stage in ("train", "refine", "tokenize"):
        return str(Path(file).parent)
    if stage in ("retrieve", "score"):
        return layout.job_of(file)
    if stage in ("encode", "mine", "fetch", "teach"):
        return f"{Path(file).parents[1]}/{Path(file).stem}"
    if stage == "refer":
        return file
    return str(Path(file).parent) if stage == "collect" else Path(file).stem if stage == "sample" else ""


def jobs(files: Iterable[Planned]) -> dict[str, int]:
    """How many jobs of each stage make these files."""
    by_stage: dict[str, set[str]] = {}
    for file in files:
        by_stage.setdefault(file.stage, set()).add(file.job)
    return {stage: len(names) for stage, names in by_stage.items()}


Rate = Callable[[np.ndarray], np.ndarray]


def rates(like: Path | None, device: str | None, share: float) -> Rate | None:
    """FLOP/s by encoder parameters: of the device, or as training measured it in a finished study; None without either.

    Raises StudyError where that study cannot tell.
    """
    if not 0 < share <= 1:
        raise StudyError(f"--share: {share:g} is no share of a peak; take more than 0 and at most 1")
    if like is None:
        return None if device is None else lambda sizes: np.full(len(sizes), PEAKS[device] * share)
    metrics = tables.read("metrics", like / "metrics.parquet").to_pandas()
    finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if finals.empty:
        raise StudyError(f"{like}/metrics.parquet: holds no finished run, so no rates")
    finals = at_home(finals, finals)
    split = finals[(finals.split == finals.split.iloc[0]) & (finals.candidates == finals.candidates.iloc[0])]
    # A partial report's runs lie in the study that it is of.
    costs = cost_model_of_runs(split, like if (like / "models").is_dir() else like.parent, Prices(0, 0, 0, 0))
    return lambda sizes: np.exp(np.interp(np.log(sizes), np.log(costs.sizes), np.log(costs.rates)))


Hours = list[tuple[cost_estimates.JobWork, float]]


def timed(work: list[cost_estimates.JobWork], rate: Rate | None, like: Path | None) -> Hours:
    """The jobs whose device hours can be told, with them."""
    # A study's training tells how fast its models are, not how fast texts are encoded and searched.
    known = [job for job in work if rate and not (like and job.stage in ("encode", "mine", "teach"))]
    speeds: Iterable[float] = rate(np.array([job.parameters for job in known], float)) if rate and known else []
    return [(job, job.flops / speed / 3600) for job, speed in zip(known, speeds, strict=True)]


def to_come(hours: Hours, files: dict[str, Planned]) -> float:
    """The hours of the jobs that still have to run."""
    return sum(span for job, span in hours if files[job.target].pending)


def table(files: dict[str, Planned], work: list[cost_estimates.JobWork], hours: Hours) -> list[dict[str, Any]]:
    """One row a stage: its jobs, those to run, FLOPs and hours."""
    whole, left = jobs(files.values()), jobs(file for file in files.values() if file.pending)
    rows = []
    for stage in sorted(whole, key=lambda name: STAGES.index(name) if name in STAGES else len(STAGES)):
        counted = [job.flops for job in work if job.stage == stage]
        taken = [(job, span) for job, span in hours if job.stage == stage]
        row: dict[str, Any] = {"stage": stage, "jobs": whole[stage], "to run": left.get(stage, 0)}
        row["FLOPs"] = f"{sum(counted):.2g}" if counted else ""
        row["device hours"] = f"{sum(span for _, span in taken):.3g}" if taken else ""
        row["of them left"] = f"{to_come(taken, files):.3g}" if taken else ""
        rows.append(row)
    return rows


def uncounted(study: dict, stages: dict[str, int]) -> str:
    """Which models' work is in no FLOPs, and what to do about it; nothing if there is none."""
    unknown = [m["name"] for m in study["models"] if shape(m) is None]
    unknown += [f"the teacher {name}" for name in unknown_teachers(study)] if "teach" in stages else []
    if "mine" in stages and cost_estimates.dimension(study) is None:
        unknown.append(f"the miner {study['miner']['encoder']}")
    names = ", ".join(sorted(unknown))
    how = "(snakemake --cores 1 offline fetches them)"
    return f"\nNot counted, as their size is unknown before they are fetched: {names}\n{how}" if unknown else ""


def totals(args: argparse.Namespace, hours: Hours, files: dict[str, Planned]) -> str:
    """Hours in all, and how they were found; how to ask for them if they were not."""
    if not args.like and not args.device:
        return "\nFor hours add --device NAME (a share of its peak) or --like with a finished study's folder."
    how = f"{args.device} at {args.share:.0%} of its peak, assumed"
    if args.like:
        how = f"at the FLOP/s that training reached in {args.like}; encoding, mining and teaching not counted"
    total = sum(span for _, span in hours)
    return (
        f"\nDevice hours: {total:.3g}, of them left {to_come(hours, files):.3g} ({how}).\n"
        "Start-up, choosing the best of each query's scores, reading and writing come on top (docs/scale.md)."
    )


def room(study: dict, size: dict[str, float], at_once: int) -> str:
    """Disk at rest, now and at its peak."""
    stays, passes = cost_estimates.disk(study, size, at_once)
    stays["further collections"] = further_collections.disk(study)
    stays = {name: value for name, value in stays.items() if value or name != "further collections"}
    rest = ", ".join(f"{name} {_bytes(value)}" for name, value in stays.items())
    more = ", ".join(f"{name} {_bytes(value)}" for name, value in passes.items())
    peak = sum(stays.values()) + sum(passes.values())
    return (
        f"\nDisk once the whole study is done: {rest}\n"
        f"In all {_bytes(sum(stays.values()))}; in results/ now: {_bytes(_there())}\n"
        f"At its peak {_bytes(peak)}, with {at_once} trainings at once: {more}"
    )


def undecided(folder: Path) -> str:
    """What would decide the undecided verdicts of the study in `folder`; empty where there are none, or not yet."""
    paths = {name: folder / f"{name}.parquet" for name in ("metrics", "verdicts")}
    if not paths["verdicts"].exists():
        return ""
    metrics, verdicts = (table.to_pandas() for table in tables.read_study(paths).values())
    if not (sentences := open_verdicts(headline_of(verdicts, metrics)) if len(metrics) else []):
        return ""
    return f"\nUndecided in {folder}, and what would decide it:\n" + "\n".join(f"- {text}" for text in sentences)


def main(args: argparse.Namespace) -> None:
    """Print the quote."""
    rate = rates(args.like, args.device, args.share)
    path = args.configfile or Path("config.yaml")
    try:
        study = config.check_config(config_file.load_config_file(path))
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    layout = Layout.of(study)
    size = cost_estimates.sizes(study, layout)
    files = planned([*args.targets, *(["--configfile", str(args.configfile)] if args.configfile else [])], layout)
    every = [*cost_estimates.job_work(study, size), *further_collections.work(study)]
    work = [job for job in every if job.target in files]
    hours = timed(work, rate, args.like)
    rows, whole = table(files, work, hours), jobs(files.values())
    print(f"Study {study['study']}: {sum(whole.values())} jobs, {sum(row['to run'] for row in rows)} to run\n")
    print(tabulate(rows, headers="keys", disable_numparse=True))
    if note := uncounted(study, whole):
        print(note)
    largest = max(filter(None, study["training"]["train_queries"]), default=0)
    if largest > size["train"]:
        print(f"\nNot possible: training.train_queries: {largest}; the collection has {size['train']:.0f} to train on")
    if whole.get("retrieve") and not args.targets:
        sent = sum(whole.values()) - whole["retrieve"] - whole["score"] + cost_estimates.submissions(study)
        print(f"\nOn SLURM the whole study is {sent} submissions: a run's checkpoints are evaluated and scored in one.")
    print(totals(args, hours, files))
    print(room(study, size, args.at_once))
    if text := undecided(args.like or Path(layout.together)):
        print(text)


def _there() -> float:
    return sum(f.stat().st_size for f in Path("results").rglob("*") if f.is_file())


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.command_parser("quote", __doc__)
    parser.add_argument("targets", nargs="*", help="as for snakemake; without any, the whole study")
    parser.add_argument("--configfile", type=Path, help="the study's; without it config.yaml")
    parser.add_argument("--device", choices=PEAKS, help="whose peak the rate is a share of")
    parser.add_argument("--share", type=float, default=0.2, help="of the peak that training reaches (0.2)")
    parser.add_argument("--at-once", type=cli.at_least(1), default=1, help="trainings that run at once (1)")
    parser.add_argument("--like", type=Path, help="a finished study's folder, whose measured rates are taken")
    return parser
