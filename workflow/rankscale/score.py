"""Score one checkpoint: decompose its observations, and measure its run with pytrec_eval."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale import archives, measures
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.decomposition import CORRECTIONS, TIES, decompose
from rankscale.storage import schemas, tables

KEYS = ("model", "train_queries", "seed", "step")


def measure(observations: pa.Table, ties: str, correction: str) -> list[dict[str, object]]:
    """One row of the scores table, without the full-retrieval metrics, per split and kind of candidates."""
    rows = []
    for key, part in groups(observations, ["split", "candidates"]):
        sizes = pc.unique(part["n_candidates"]).to_pylist()
        if len(sizes) != 1:
            raise StudyError(f"{key}: observations over {sizes} candidates are mixed; evaluate the checkpoint again")
        loss, above, tied, margin = (part[c].to_numpy() for c in ("loss", "above", "tied", "margin"))
        found = decompose(loss, above, tied, n_candidates=sizes[0], ties=ties, correction=correction)
        row = {
            **{k: part[k][0].as_py() for k in KEYS},
            **key,
            "n_candidates": sizes[0],
            "n_queries": len(part),
        }
        row |= {p: getattr(found, p) for p in (*schemas.PARTS, "mrr")}
        row |= {f"{p}_plugin": getattr(found, f"{p}_plugin") for p in schemas.PARTS[1:]}
        for name in (*schemas.PARTS, "mrr"):
            row[f"{name}_low"], row[f"{name}_high"] = found.interval(name)
        row |= more(above, tied, margin, sizes[0])
        row |= {"below_chance": found.below_chance, "too_few_queries": found.too_few_queries}
        rows.append(row)
    return rows


def more(above: np.ndarray, tied: np.ndarray, margin: np.ndarray, candidates: int) -> dict[str, float]:
    """Other measures of the same observations, ties in expectation over their breaking.

    `auc`: how often the positive scores above a candidate; `accuracy_1`: how often above all; ranks count from 1;
    `margin_10` to `margin_90`: quantiles of the positive's score less the best candidate's.
    """
    rank = 1 + above + tied / 2
    quantiles = np.quantile(margin, (0.1, 0.5, 0.9))
    return {
        "auc": float(1 - (above + tied / 2).mean() / candidates),
        "accuracy_1": float(((above == 0) / (1 + tied)).mean()),
        "mean_rank": float(rank.mean()),
        "median_rank": float(np.median(rank)),
        **{f"margin_{share}": float(value) for share, value in zip((10, 50, 90), quantiles, strict=True)},
    }


def groups(table: pa.Table, keys: list[str]) -> list[tuple[dict[str, object], pa.Table]]:
    """The parts of a table with equal `keys`, in order of first appearance."""
    parts = []
    for key in table.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        part = table
        for name, value in key.items():
            part = part.filter(pc.equal(part[name], value))
        parts.append((key, part))
    return parts


def main(args: argparse.Namespace) -> None:
    """Write one row per split and kind of candidates of one checkpoint; or print what an archive decomposes into."""
    if args.npz:
        print(archives.said(args.npz, args.n_candidates, args.json))
        return
    if not (args.observations and args.output):
        raise StudyError("give --observations and --output, or --npz with an archive")
    observations = tables.read("observations", args.observations)
    if not len(observations):
        log.warning("%s: holds no observations (the run diverged), so there are no scores", args.observations)
        write("scores", [], args.output)
        if args.per_query:
            write("per_query", [], args.per_query)
        return
    rows = measure(observations, args.ties, args.correction)
    missing: dict[str, object] = {"retrieval": "none", **dict.fromkeys(schemas.FULL)}
    measured: dict[str, dict] = {}
    per_query: dict[str, list] = {name: [] for name in ("split", "query_id", *schemas.FULL)}
    if args.run:
        parts = tables.scan("runs", args.run, measures.COLUMNS)
        found = measures.full_retrieval(parts, tables.read("qrels", args.qrels))
        for split, each in found.items():
            measured[split] = {"retrieval": args.retrieval, **measures.means(each)}
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
    made = cli.stage_parser("score", __doc__)
    made.add_argument("--observations", type=Path)
    made.add_argument("--run", type=Path, help="the full-collection run")
    made.add_argument("--qrels", type=Path, help="judgments, needed with --run")
    made.add_argument("--retrieval", choices=["full", "pooled"], default="full", help="what the run searched")
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--correction", choices=CORRECTIONS, default="jackknife")
    made.add_argument("--output", type=Path)
    made.add_argument("--per-query", type=Path, help="output: the run's measures query by query")
    made.add_argument("--npz", type=Path, help="instead: an archive of the published code, ranks from 0")
    made.add_argument("--json", action="store_true", help="print one JSON object with keys expected and optimistic")
    made.add_argument("--n-candidates", type=int, help="of the archive's queries, to compare its MRR with chance")
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
