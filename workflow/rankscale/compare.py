"""Compare two checkpoints query by query, or two studies.

Of checkpoints: differences, their intervals, and a paired randomisation test. Of studies (their folders): the slopes of
their laws, the models that both have, and a figure.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tabulate import tabulate

from rankscale import versus
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.decomposition import NORMAL, PARTS, TIES, pseudo_values, reciprocal_ranks
from rankscale.storage import schemas, tables


def values(path: Path, ties: str) -> pd.DataFrame:
    """One row per test set, kind of candidates, measure and query, of an `observations` or a `per_query` table.

    The parts of the cross-entropy are pseudo-values, whose means are the corrected parts. Raises StudyError for
    any other table.
    """
    with tables.reading(path):
        names = pq.read_schema(path).names
    if names == schemas.SCHEMAS["per_query"].names:
        found = tables.read("per_query", path).to_pandas().assign(candidates="retrieval")
        measures = [name for name in schemas.FULL if found[name].notna().all()]
        parts = [found[["split", "candidates", "query_id", *measures]]]
    elif names == schemas.SCHEMAS["observations"].names:
        parts = []
        for _, part in tables.read("observations", path).to_pandas().groupby(["split", "candidates"]):
            made = dict(zip(PARTS, pseudo_values(part.loss, part.above, part.tied, ties=ties).T, strict=True))
            tied = part.tied if ties == "expected" else 0 * part.tied
            made["mrr"] = reciprocal_ranks(part.above, tied)
            parts.append(part[["split", "candidates", "query_id"]].assign(**made))
    else:
        raise StudyError(f"{path}: is neither a table of observations nor of per-query values")
    if not parts or not len(parts[0]):
        raise StudyError(f"{path}: holds no queries (the run diverged?)")
    return pd.concat(p.melt(["split", "candidates", "query_id"], var_name="measure") for p in parts)


def differences(first: Path, second: Path, draws: int, seed: int, ties: str) -> Iterator[dict[str, object]]:
    """Per test set, kind of candidates and measure: both means, their difference, its 95 % interval, and p.

    The interval is that of paired differences; p is two-sided, from swapping the two within each query (Smucker et
    al., CIKM 2007). Raises StudyError where the queries differ.
    """
    from scipy.stats import permutation_test

    keys = ["split", "candidates", "measure"]
    tables_of = [dict(list(values(path, ties).groupby(keys, sort=False))) for path in (first, second)]
    if tables_of[0].keys() != tables_of[1].keys():
        odd = sorted(set(tables_of[0]) ^ set(tables_of[1]))[0]
        raise StudyError(f"{first} and {second}: only one of them has {' '.join(odd)}")
    for key in tables_of[0]:
        a, b = (made[key].set_index("query_id").value.sort_index() for made in tables_of)
        if not a.index.equals(b.index):
            odd = a.index.symmetric_difference(b.index)[0]
            raise StudyError(f"{first} and {second}: other queries ({odd} is in one of them); they cannot be paired")
        apart = (b - a).to_numpy()
        error = NORMAL * apart.std(ddof=1) / np.sqrt(len(apart))
        tested = permutation_test(
            (b.to_numpy(), a.to_numpy()),
            lambda x, y, axis: (x - y).mean(axis),
            permutation_type="samples",
            n_resamples=draws,
            batch=max(1, 2_000_000 // len(apart)),
            vectorized=True,
            rng=generator(seed, "compare", *key),
        )
        yield {
            **dict(zip(keys, key, strict=True)),
            "queries": len(apart),
            "first": a.mean(),
            "second": b.mean(),
            "difference": apart.mean(),
            "low": apart.mean() - error,
            "high": apart.mean() + error,
            "p": tested.pvalue,
        }


def main(args: argparse.Namespace) -> None:
    """Print the comparison."""
    for path in (args.first, args.second):
        if not path.exists():
            raise StudyError(f"{path}: there is no such file or folder")
    if args.first.is_dir() != args.second.is_dir():
        raise StudyError(f"{args.first} and {args.second}: give two tables, or the folders of two studies")
    if args.first.is_dir():
        log.info("comparing two studies")
        print(versus.compare(args.first, args.second, args.figure, args.table))
        return
    if args.figure or args.table:
        raise StudyError("--figure and --table are for two studies: give their folders")
    rows = list(differences(args.first, args.second, args.draws, args.seed, args.ties))
    print(f"second ({args.second}) less first ({args.first}), 95 % intervals, {args.draws} random swaps\n")
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".4g"))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("compare", __doc__)
    made.add_argument("first", type=Path, help="a table of observations or of per-query values, or a study's folder")
    made.add_argument("second", type=Path, help="the same of another checkpoint or study")
    made.add_argument("--figure", type=Path, help="of two studies: draw them (.svg, .pdf or .png)")
    made.add_argument("--table", type=Path, help="of two studies: write the slopes as CSV")
    made.add_argument("--draws", type=int, default=10_000, help="random swaps")
    made.add_argument("--seed", type=int, default=7, help="of the swaps")
    made.add_argument("--ties", choices=TIES, default="expected")
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
