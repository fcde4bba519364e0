"""Gather the scores of a study's checkpoints, with the facts of their training; list the runs that have none."""

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import RunId, table_path
from rankscale.core.options import add_options, parsed
from rankscale.evaluation.costs.inference import InferenceCosts, Reading, read_candidates
from rankscale.evaluation.score_options import GatherOptions
from rankscale.report.missing_runs import describe_missing_runs
from rankscale.storage import origins, schemas, tables
from rankscale.storage.identity import refuse_other_studies
from rankscale.storage.schemas import CHECKPOINT_KEY, UNFINISHED

Origins = list[tuple[str | Path, dict[str, Any]]]  # of tables, each with its path


def main(args: argparse.Namespace) -> None:
    """Write one row per checkpoint, split and kind of candidates, and one per run that diverged or is not finished."""
    options = parsed(GatherOptions, args)
    refuse_other_studies(args.runs, args.study.resolve().name)
    run_tables = [tables.read("checkpoints", path) for path in args.runs]
    runs = [table.to_pylist() for table in run_tables]
    refuse_other_recipes(args.runs, run_tables)
    refuse_equal_subsets([checkpoint for checkpoints in runs for checkpoint in checkpoints])
    tokens: dict[str, dict[str, Path]] = {collection: {} for collection in options.collections}
    for collection, model, folder in (each.split("=", 2) for each in args.tokens):
        tokens[collection][model] = Path(folder)
    readings = {variant: Reading(**reading) for variant, reading in options.readings.items()}
    costs = {
        collection: InferenceCosts(readings, tokens[collection], read_candidates(path))
        for collection, path in zip(options.collections, args.candidates, strict=True)
    }
    spent = teacher_costs(options.taught)
    rows: list[dict] = []
    evaluated: dict[str, Origins] = {collection: [] for collection in options.collections}
    left_out = [
        {"variant": variant, "model": model, "subset": subset, "seed": int(seed), "status": UNFINISHED}
        for variant, model, subset, seed in (run.split("/") for run in options.unfinished)
    ]
    for checkpoints in runs:
        for checkpoint in checkpoints:
            once, each = spent.get(checkpoint["variant"], (0.0, 0.0))
            checkpoint["teacher_flops"] = once + each * checkpoint["train_queries"]
            if checkpoint["status"] == "finished":
                for collection in options.collections:
                    scores = scores_of(checkpoint, args.study, collection, evaluated)
                    together = [{"study": options.study_name, **checkpoint, **row} for row in scores]
                    kind = readings[checkpoint["variant"]].kind
                    rows += [{**row, "ranker": kind, "inference_flops": costs[collection].of(row)} for row in together]
            else:
                key = {k: checkpoint[k] for k in CHECKPOINT_KEY}
                left_out.append({**key, "subset": checkpoint["subset"], "status": checkpoint["status"]})
    for scores_found in evaluated.values():
        origins.refuse_mixed(scores_found, origins.CANDIDATES, origins.ONE_EVALUATION)
    missing = describe_missing_runs(left_out)
    if not rows:
        raise StudyError(f"no run is left to be judged, all diverged; lower training.learning_rate. {missing}")
    for name, content, path in (("metrics", rows, args.output), ("left_out", left_out, args.left_out)):
        table = pa.Table.from_pylist(content, schema=schemas.SCHEMAS[name])
        tables.write(name, table, path, study=options.study_name)
    if args.references_table:
        gather_references(args.references, args.references_table, options.study_name)
    if left_out:
        log.warning("%s", missing)
    log.info(
        "%d rows of %d runs; %d not above chance, %d with too few queries",
        len(rows),
        len(args.runs),
        sum(row["below_chance"] for row in rows),
        sum(row["too_few_queries"] for row in rows),
    )


def gather_references(paths: list[Path], output: Path, study: str) -> None:
    """Write the tables of all references as one."""
    read = [tables.read("references", path) for path in paths]
    whole = pa.concat_tables(read) if read else schemas.SCHEMAS["references"].empty_table()
    tables.write("references", whole.replace_schema_metadata(None), output, study=study)


def refuse_other_recipes(paths: list[Path], runs: list[pa.Table]) -> None:
    """Raise StudyError where the runs of a variant were not all trained in one way."""
    by_variant: dict[str, Origins] = {}
    for path, run in zip(paths, runs, strict=True):
        for variant in set(run["variant"].to_pylist()):
            by_variant.setdefault(variant, []).append((path, origins.origin_of(run.schema)))
    for of_variant in by_variant.values():
        origins.refuse_other_recipes(of_variant)


def teacher_costs(taught: list[str]) -> dict[str, tuple[float, float]]:
    """By variant, what its teacher's own training took in FLOPs, and what its scores of one training query took.

    The first is known of checkpoints whose run's table stood beside them, else 0: a model that others trained is there.
    """
    once: dict[str, float] = {}
    scores: dict[str, list[float]] = {}
    for variant, path in (words.split("=", 1) for words in taught):
        try:
            manifest = json.loads(Path(path).read_text(encoding="utf-8"))
            flops, queries = float(manifest["flops"]), float(manifest["queries"])
            once[variant] = float(manifest.get("training_flops", 0.0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path}: cannot be read ({error!r}); delete it and run again") from error
        scores[variant] = [a + b for a, b in zip(scores.get(variant, [0.0, 0.0]), (flops, queries), strict=True)]
    return {variant: (once[variant], flops / queries) for variant, (flops, queries) in scores.items()}


def scores_of(checkpoint: dict, study: Path, collection: str, evaluated: dict[str, Origins]) -> list[dict]:
    """The scores of a checkpoint on a collection; their origin is noted among the `evaluated`.

    Raises StudyError where they are another's.
    """
    run_id = RunId(*(checkpoint[name] for name in RunId._fields))
    path = table_path(study, "scores", collection, run_id, checkpoint["checkpoint"])
    keys = {"collection": collection, **{name: checkpoint[name] for name in CHECKPOINT_KEY}}
    scores = tables.read("scores", path, keys=keys)
    evaluated[collection].append((path, origins.origin_of(scores.schema)))
    return scores.to_pylist()


def refuse_equal_subsets(checkpoints: list[dict]) -> None:
    """Two names of one subset (a number, and all) would count each of its runs twice."""
    subsets: dict[tuple, str] = {}
    for row in checkpoints:
        other = subsets.setdefault(tuple(row[name] for name in CHECKPOINT_KEY), row["subset"])
        if other != row["subset"]:
            raise StudyError(
                f"training.train_queries: {other} and {row['subset']} are the same {row['train_queries']} queries "
                f"of this collection; take one of them out"
            )


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("gather", __doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="checkpoints.parquet of each run")
    parser.add_argument("--study", type=Path, required=True, help="the study's folder, with the scores")
    parser.add_argument("--tokens", nargs="+", required=True, help="folders of token ids, as collection=model=folder")
    parser.add_argument(
        "--candidates", type=Path, nargs="+", required=True, help="what checkpoints are scored against, by collection"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--left-out", type=Path, required=True, help="output: the runs that are in no other table")
    parser.add_argument("--references", type=Path, nargs="*", default=[], help="how each reference does")
    parser.add_argument("--references-table", type=Path, nargs="?", help="output: all of them")
    add_options(parser, GatherOptions)
    return parser
