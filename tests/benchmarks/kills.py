"""A training killed with -9 at random moments, some during a save, against an undisturbed one: the bytes.

python -m tests.benchmarks.kills [20]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from rankscale.storage import tables
from tests.benchmarks.measure import table
from tests.conftest import clone, run
from tests.unit import test_resume
from tests.unit.training.test_trainer import published, train


def main(kills: int = 20) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        project = clone(folder)
        run("snakemake --cores 2 negatives results/shared/docstrings/tokens/wordpiece/documents.parquet", project)
        shared = project / "results/shared/docstrings"
        train(shared, folder / "calm", *test_resume.LONG)
        resumed = test_resume.kill_until_finished(shared, folder / "killed", kills)
        calm, killed = published(folder / "calm"), published(folder / "killed")
        losses = [
            tables.read("training", folder / f"{n}/run/training.parquet")["loss"].to_numpy() for n in ("calm", "killed")
        ]
        row = {"kills": kills, "went on from a state": resumed, "files": len(calm)}
        row |= {"files of equal bytes": sum(calm[name] == killed.get(name) for name in calm)}
        table("Killed with -9", [row | {"largest difference of a loss": np.abs(losses[0] - losses[1]).max()}])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
