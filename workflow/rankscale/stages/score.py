"""Score one checkpoint: decompose its observations, and measure its run with pytrec_eval."""

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.metrics import PARTS
from rankscale.core.options import add_options, parsed
from rankscale.evaluation import retrieval_measures
from rankscale.evaluation.score_options import ScoreOptions
from rankscale.evaluation.scoring import score_observations
from rankscale.storage import manifests, origins, schemas, tables
from rankscale.storage.origins import CANDIDATES, ONE_EVALUATION


def main(args: argparse.Namespace) -> None:
    """Write one row per split and kind of candidates of one checkpoint."""
    options = parsed(ScoreOptions, args)
    observations = tables.read("observations", args.observations)
    if not len(observations):
        log.warning("%s: holds no observations (the run diverged), so there are no scores", args.observations)
        write("scores", [], args.output)
        if args.per_query:
            write("per_query", [], args.per_query)
        return
    rows = score_observations(observations, options.ties, options.correction)
    key = {name: rows[0][name] for name in schemas.EVALUATED_KEY}
    by_split = {}
    origin = origins.origin_of(observations.schema)
    if args.run:
        manifests.refuse_changed(args.qrels.parent / manifests.MANIFEST, args.qrels.name)
        origins.refuse_other_collection(args.observations, origin, args.qrels.parent)
        origins.refuse_mixed(
            [(args.observations, origin), (args.run, origins.read_origin(args.run))], CANDIDATES, ONE_EVALUATION
        )
        parts = tables.scan("runs", args.run, retrieval_measures.COLUMNS, keys=key)
        by_split = retrieval_measures.full_retrieval(parts, tables.read("qrels", args.qrels))
    unmeasured: dict[str, Any] = {"retrieval": "none", **dict.fromkeys(schemas.RETRIEVAL)}
    measured: dict[str, dict[str, Any]] = {
        split: {"retrieval": options.retrieval, **retrieval_measures.means(values)}
        for split, values in by_split.items()
    }
    rows = [row | measured.get(row["split"], unmeasured) for row in rows]
    for row in rows:
        log.info(
            "%s %s: cross-entropy %.3f = rank-entropy %.3f + alignment %.3f + uncertainty %.3f; MRR %.3f",
            row["split"],
            row["candidates"],
            *(row[part] for part in PARTS),
            row["mrr"],
        )
    # Which candidates a score is over is compared where all are gathered.
    origin = {key: value for key, value in origin.items() if key == CANDIDATES}
    write("scores", rows, args.output, origin)
    if args.per_query:
        each = [
            {**key, "split": split, "query_id": query, **measures}
            for split, values in by_split.items()
            for query, measures in values.items()
        ]
        write("per_query", each, args.per_query, origin)


def write(name: str, rows: list[dict], path: Path, origin: dict[str, Any] | None = None) -> None:
    """Write rows of one of the tables."""
    tables.write(name, pa.Table.from_pylist(rows, schema=schemas.SCHEMAS[name]), path, origin=origin)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("score", __doc__)
    parser.add_argument("--observations", type=Path, required=True)
    parser.add_argument("--run", type=Path, nargs="?", help="the full-collection run; without a value there is none")
    parser.add_argument("--qrels", type=Path, help="judgments, needed with --run")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-query", type=Path, nargs="?", help="output: the run's measures query by query")
    add_options(parser, ScoreOptions)
    return parser
