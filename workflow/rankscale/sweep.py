"""See how the parts move as queries are dropped: whether a test set has enough of them."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.progress import progress
from rankscale.core.seeding import generator
from rankscale.decomposition import PARTS, TIES, decompose
from rankscale.storage import schemas, tables

KEYS = ["model", "train_queries", "seed", "step", "split", "candidates"]
FEWEST = 50  # queries; below it every part is mostly bias


def sizes(queries: int) -> list[int]:
    """All queries, half of them, a quarter, and so on."""
    found = [queries]
    while found[-1] // 2 >= FEWEST:
        found.append(found[-1] // 2)
    return found


def swept(part: pd.DataFrame, ties: str, draws: int, random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Per number of queries, correction and part of the loss: mean and spread over random subsets of the queries."""
    columns = part.loss.to_numpy(), part.above.to_numpy(), part.tied.to_numpy()
    for size in sizes(len(part)):
        some = [random.permutation(len(part))[:size] for _ in range(draws if size < len(part) else 1)]
        found = [decompose(*(column[rows] for column in columns), ties=ties) for rows in some]
        for correction, end in (("jackknife", ""), ("none", "_plugin")):
            for name in PARTS[1:]:
                values = np.array([getattr(made, f"{name}{end}") for made in found])
                spread = values.std(ddof=1) if len(values) > 1 else None
                row = {"n_queries": size, "correction": correction, "part": name, "draws": len(values)}
                yield {**row, "mean": values.mean(), "spread": spread}


def main(args: argparse.Namespace) -> None:
    """Write one table for the given checkpoints."""
    rows = []
    for path in progress(args.observations, "sweep", "checkpoint"):
        seen = tables.read("observations", path).to_pandas()
        for key, part in seen.groupby(KEYS):
            random = generator(args.seed, "sweep", *key)
            rows += [{**dict(zip(KEYS, key, strict=True)), **row} for row in swept(part, args.ties, args.draws, random)]
    tables.write("sweep", pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["sweep"]), args.output)
    log.info("%d checkpoints on ever fewer queries, %d draws each", len(args.observations), args.draws)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("sweep", __doc__)
    made.add_argument("--observations", type=Path, nargs="+", required=True, help="of the checkpoints to look at")
    made.add_argument("--draws", type=int, default=30, help="random subsets of each size")
    made.add_argument("--seed", type=int, default=7, help="of the draws")
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--output", type=Path, required=True)
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
