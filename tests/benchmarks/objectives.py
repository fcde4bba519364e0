"""Steps of every objective against InfoNCE's on the same texts, one step of each in turn.

python -m tests.benchmarks.objectives [collection]     results/shared/docstrings of a finished study unless told

Each objective stands beside an InfoNCE of its own kind of columns: with the passages of the whole batch where it takes
them, with a query's own negatives otherwise. The teacher of those that need one is the miner.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.core.options import parsed
from rankscale.stages import train
from rankscale.training.distributed import ProcessGroup
from rankscale.training.objectives.registry import OBJECTIVES
from rankscale.training.options import TrainOptions
from rankscale.training.setup import TrainingRun, set_up
from tests.benchmarks.measure import table
from tests.conftest import stage

COLLECTION = "results/shared/docstrings"
STEPS, WARM = 60, 5
# The embedded study's recipe, at its width 64.
RECIPE = ("--layers", 1, "--hidden", 64, "--heads", 4, "--output-dim", 128, "--learning-rate", 2.3e-3, "--threads", 1)
RECIPE += ("--query-length", 20, "--passage-length", 32, "--train-queries", 6000, "--device", "cpu")


def run_of(objective: str, negatives: str, collection: Path, folder: Path, *more: object) -> TrainingRun:
    """A run before its first step."""
    folders = ("--collection", collection, "--tokens", collection / "tokens/wordpiece")
    folders += ("--mined", collection / "lsa/negatives/0.parquet")
    folders += ("--scratch", folder / "scratch", "--output", folder / "run")
    recipe = ("--model", "m", "--objective", objective, "--negatives", negatives, *RECIPE)
    arguments = train.arguments().parse_args(list(map(str, (*folders, *recipe, *more))))
    return set_up(parsed(TrainOptions, arguments), ProcessGroup())


def step_seconds(runs: list[TrainingRun]) -> np.ndarray:
    """Seconds [steps, runs] of a step of each run in turn, its batch included."""
    seconds = np.empty((STEPS, len(runs)))
    batches = [run.loader.iterate_from(0, STEPS) for run in runs]
    for i in range(STEPS):
        for j, run in enumerate(runs):
            start = time.perf_counter()
            run.learner.step(next(batches[j]), 1e-3)
            seconds[i, j] = time.perf_counter() - start
    return seconds[WARM:]


def main() -> None:
    """Print the table."""
    collection = Path(sys.argv[1] if len(sys.argv) > 1 else COLLECTION)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scores = folder / "teacher.parquet"
        mined = ("--mined", collection / "lsa/negatives/0.parquet")
        vectors = [("--" + kind, collection / f"lsa/{kind}/0.parquet") for kind in ("documents", "queries")]
        source = ("--collection", collection, *mined, *(word for pair in vectors for word in pair))
        stage("teach", *source, "--teacher", "miner", "--manifest", folder / "teacher.json", "--output", scores)
        for name, objective in OBJECTIVES.items():
            negatives = "mined" if "own_negatives" in objective.needs else "mined+in_batch"
            more = ("--negatives-per-query", 4) if negatives == "mined" else ()
            taught = ("--teacher-scores", scores) if "teacher" in objective.needs else ()
            peer = run_of("infonce", negatives, collection, folder / "infonce", *more)
            try:
                run = run_of(name, negatives, collection, folder / name, *more, *taught)
            except StudyError as error:  # this collection may have no grades
                print(f"{name}: left out: {error}", flush=True)
                continue
            seconds = step_seconds([peer, run])
            low, middle, high = np.quantile(seconds[:, 0] / seconds[:, 1], [0.25, 0.5, 0.75])
            rows.append(
                {
                    "objective": name,
                    "negatives": negatives,
                    "steps/s": 1 / np.median(seconds[:, 1]),
                    "of infonce's": middle,
                    "middle half": f"{low:.3f} to {high:.3f}",
                }
            )
            print(rows[-1], flush=True)
    table(f"Steps of L1H64, 32 queries, {STEPS - WARM} of each in turn", rows)


if __name__ == "__main__":
    main()
