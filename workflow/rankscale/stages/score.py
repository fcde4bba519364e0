"""Score one checkpoint: decompose its observations, and measure its run with pytrec_eval."""

import argparse
from pathlib import Path

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.evaluation import retrieval_measures
from rankscale.evaluation.decomposition import CORRECTIONS, TIES
from rankscale.evaluation.scoring import KEYS, score_observations
from rankscale.storage import schemas, tables


def main(args: argparse.Namespace) -> None:
    """Write one row per split and kind of candidates of one checkpoint."""
    observations = tables.read("observations", args.observations)
    if not len(observations):
        log.warning("%s: holds no observations (the run diverged), so there are no scores", args.observations)
        write("scores", [], args.output)
        if args.per_query:
            write("per_query", [], args.per_query)
        return
    rows = score_observations(observations, args.ties, args.correction)
    missing: dict[str, object] = {"retrieval": "none", **dict.fromkeys(schemas.FULL)}
    measured: dict[str, dict] = {}
    per_query: dict[str, list] = {name: [] for name in ("split", "query_id", *schemas.FULL)}
    if args.run:
        parts = tables.scan("runs", args.run, retrieval_measures.COLUMNS)
        found = retrieval_measures.full_retrieval(parts, tables.read("qrels", args.qrels))
        for split, each in found.items():
            measured[split] = {"retrieval": args.retrieval, **retrieval_measures.means(each)}
            per_query["split"] += [split] * len(each)
            per_query["query_id"] += each
            for name in schemas.FULL:
                per_query[name] += [values[name] for values in each.values()]
    rows = [row | measured.get(row["split"], missing) for row in rows]
    for row in rows:
        log.info(
            "%s %s: cross-entropy %.3f = rank-entropy %.3f + alignment %.3f + uncertainty %.3f; MRR %.3f",
            row["split"],
            row["candidates"],
            *(row[p] for p in schemas.PARTS),
            row["mrr"],
        )
    write("scores", rows, args.output)
    if args.per_query:
        tables.write("per_query", {**{k: rows[0][k] for k in KEYS}, **per_query}, args.per_query)


def write(name: str, rows: list[dict], path: Path) -> None:
    """Write rows of one of the tables."""
    tables.write(name, pa.Table.from_pylist(rows, schema=schemas.SCHEMAS[name]), path)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("score", __doc__)
    made.add_argument("--observations", type=Path, required=True)
    made.add_argument("--run", type=Path, help="the full-collection run")
    made.add_argument("--qrels", type=Path, help="judgments, needed with --run")
    made.add_argument("--retrieval", choices=["full", "pooled"], default="full", help="what the run searched")
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--correction", choices=CORRECTIONS, default="jackknife")
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--per-query", type=Path, help="output: the run's measures query by query")
    return made
