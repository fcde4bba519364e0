"""Dry runs of ever larger grids: seconds, memory and growth of Snakemake on this workflow, beside bare rules.

python -m tests.benchmarks.jobs
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.benchmarks.measure import ROOT, table

PARTS = ("Snakefile", "workflow", "profiles", "envs", "config.yaml")
# Sizes, subsets, seeds, snapshots: the last but one is the paper's grid with three seeds.
GRIDS = {"2,000": (6, 4, 3, 10), "7,000": (25, 4, 3, 10), "paper grid": (25, 8, 3, 10), "20,000": (25, 8, 4, 11)}
BARE = """
rule all:
    input: expand("done/{{n}}", n=range({n}))
rule make:
    input: "start/{{n}}"
    output: "done/{{n}}"
    shell: "cp {{input}} {{output}}"
rule start:
    output: "start/{{n}}"
    shell: "touch {{output}}"
"""


def grid(sizes: int, subsets: int, seeds: int, snapshots: int) -> dict:
    """A study of so many sizes, subsets, seeds and snapshots."""
    models = [{"name": f"L2H{64 * n}", "layers": 2, "hidden": 64 * n, "heads": 2} for n in range(1, sizes + 1)]
    training = {"train_queries": [1000 * n for n in range(1, subsets + 1)], "seeds": list(range(seeds))}
    training["snapshots"] = {
        "models": [model["name"] for model in models],
        "train_queries": "every",
        "steps": list(range(1, snapshots + 1)),
    }
    return {
        "study": "grid",
        "collection": {"name": "docstrings", "source": "docstrings"},
        "miner": {"name": "lsa"},
        "models": models,
        "training": training | {"learning_rate": 1e-3, "batch_size": 32},
    }


def dry_run(folder: Path, command: str) -> tuple[int, float, float]:
    """Jobs, seconds and peak memory in MB of a Snakemake call."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    start, log = time.monotonic(), folder / "output.txt"
    with open(log, "w") as out:
        process = subprocess.Popen(
            command.split(), cwd=folder, stdout=out, stderr=out, env={**os.environ, "PATH": path}
        )
        _, status, used = os.wait4(process.pid, 0)
    assert status == 0, log.read_text()[-2000:]
    jobs = re.search(r"^total +(\d+)", log.read_text(), re.MULTILINE)
    return int(jobs[1]) if jobs else 0, time.monotonic() - start, used.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for part in PARTS:
            (folder / part).symlink_to(ROOT / part)
        for name, shape in GRIDS.items():
            (folder / "grid.yaml").write_text(yaml.safe_dump(grid(*shape)))
            _, parsed, _ = dry_run(folder, "snakemake -n --quiet all --cores 1 collection --configfile grid.yaml")
            jobs, seconds, memory = dry_run(folder, "snakemake -n --quiet rules --cores 1 --configfile grid.yaml")
            bare = folder / "bare"
            bare.mkdir(exist_ok=True)
            (bare / "Snakefile").write_text(BARE.format(n=(jobs - 1) // 2))
            _, plain, held = dry_run(bare, "snakemake -n --quiet rules --cores 1")
            row = {"grid": name, "jobs": jobs, "one target, s": parsed, "all, s": seconds, "MB": memory}
            rows.append(row | {"ms a job": 1000 * seconds / jobs, "bare rules, s": plain, "bare, MB": held})
    table("Dry runs", rows)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
