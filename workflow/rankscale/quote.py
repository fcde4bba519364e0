"""What a study will cost before anything is launched: jobs, device hours, disk, and what is already there.

Jobs are those of Snakemake's own dry run. FLOPs are counted from the config and the collection, if it is there already;
hours follow from a device's rate: a named one at a share of its peak, or the measured one of a finished study.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from tabulate import tabulate

from rankscale import command, estimates, tables
from rankscale import config as configs
from rankscale.errors import StudyError
from rankscale.planning import Prices, throughput

# Dense 16-bit matrix products a second, by the makers' data sheets.
PEAKS = {"v100": 1.25e14, "a100": 3.12e14, "l40s": 3.62e14, "rtx4090": 1.65e14, "h100": 9.89e14, "h200": 9.89e14}


def dry_run(arguments: list[str], everything: bool = False) -> dict[str, int]:
    """How many jobs of each stage Snakemake would run. Raises StudyError with its message if it cannot say."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *(["--forceall"] if everything else [])]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).splitlines()
        lines = [line for line in said if line.strip() and not line.startswith("Using ")]
        raise StudyError(lines[-1] if lines else "the dry run failed")
    block = re.search(r"job +count\n[- ]+\n(.*?)\ntotal", done.stdout + done.stderr, re.DOTALL)
    rows = [line.split() for line in block[1].splitlines()] if block else []
    counts: dict[str, int] = {}
    for name, count in rows:
        if name != "all":
            stage = name.removesuffix("_with_snapshots")
            counts[stage] = counts.get(stage, 0) + int(count)
    return counts


def rate_of(args: argparse.Namespace, parameters: np.ndarray) -> np.ndarray:
    """FLOP/s at each size: of the device, or as measured in a finished study. Raises StudyError without either."""
    if args.like:
        metrics = tables.read("metrics", args.like / "metrics.parquet").to_pandas()
        finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
        split = finals[(finals.split == finals.split.iloc[0]) & (finals.candidates == finals.candidates.iloc[0])]
        made = throughput(split, args.like, Prices(0, 0, 0, 0))
        return np.exp(np.interp(np.log(parameters), np.log(made.sizes), np.log(made.rates)))
    if args.device:
        return np.full(len(parameters), PEAKS[args.device] * args.share)
    raise StudyError("hours need a rate: give --device and --share, or --like with the folder of a finished study")


def main(args: argparse.Namespace) -> None:
    """Print the quote."""
    files = args.configfile or Path("config.yaml")
    try:
        text = files.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{files}: cannot be read ({error.strerror})") from None
    study = configs.check(yaml.safe_load(text))
    asked = [*args.targets, *(["--configfile", str(args.configfile)] if args.configfile else [])]
    whole, left = dry_run(asked, everything=True), dry_run(asked)
    size = estimates.sizes(study, Path("results"))
    work = estimates.work(study, size)
    hours: dict[str, float] = {}
    if work and (args.device or args.like):
        rates = rate_of(args, np.array([job.parameters for job in work], float))
        for job, rate in zip(work, rates, strict=True):
            hours[job.stage] = hours.get(job.stage, 0) + job.flops / rate / 3600
    rows = []
    for stage, jobs in whole.items():
        counted = [job.flops for job in work if job.stage == stage]
        row = {"stage": stage, "jobs": jobs, "to run": left.get(stage, 0)}
        row["FLOPs"] = f"{sum(counted):.2g}" if counted else ""
        row["device hours"] = f"{hours[stage]:.3g}" if stage in hours else ""
        row["of them left"] = f"{hours[stage] * left.get(stage, 0) / jobs:.3g}" if stage in hours else ""
        rows.append(row)
    print(f"Study {study['study']}: {sum(whole.values())} jobs, {sum(left.values())} to run\n")
    print(tabulate(rows, headers="keys", disable_numparse=True))
    unknown = [m["name"] for m in study["models"] if estimates.shape(m) is None]
    if estimates.dimension(study) is None:
        unknown.append(f"the miner {study['miner']['encoder']}")
    if unknown:
        print(f"\nNot counted, as their size is unknown before they are fetched: {', '.join(sorted(unknown))}")
        print("(snakemake --cores 1 offline fetches them)")
    if hours:
        how = f"as measured in {args.like}" if args.like else f"{args.device} at {args.share:.0%} of its peak, assumed"
        print(f"\nDevice hours: {sum(hours.values()):.3g} ({how}); pools are counted at their most.")
        print("Choosing the best of each query's scores, reading and writing come on top (docs/scale.md).")
    stays, passes = estimates.disk(study, size, args.at_once)
    print("\nDisk once all is done: " + ", ".join(f"{name} {_bytes(value)}" for name, value in stays.items()))
    print(f"In all {_bytes(sum(stays.values()))}; in results/ now: {_bytes(_there())}")
    more = ", ".join(f"{name} {_bytes(value)}" for name, value in passes.items())
    peak = sum(stays.values()) + sum(passes.values())
    print(f"At its peak {_bytes(peak)}, with {args.at_once} trainings at once: {more}")


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
    made = argparse.ArgumentParser(prog="python -m rankscale.quote", description=__doc__)
    made.add_argument("targets", nargs="*", help="as for snakemake; without any, the whole study")
    made.add_argument("--configfile", type=Path, help="the study's; without it config.yaml")
    made.add_argument("--device", choices=PEAKS, help="whose peak the rate is a share of")
    made.add_argument("--share", type=float, default=0.2, help="of the peak that training reaches (0.2)")
    made.add_argument("--at-once", type=command.at_least(1), default=1, help="trainings that run at once (1)")
    made.add_argument("--like", type=Path, help="a finished study's folder, whose measured rates are taken")
    return made


if __name__ == "__main__":
    try:
        main(arguments().parse_args())
    except StudyError as error:
        sys.exit(f"quote: {error}")
