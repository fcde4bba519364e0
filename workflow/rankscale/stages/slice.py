"""Measure finished runs on slices of the queries: by length, by likeness to what was trained on, the worst of them."""

import argparse
from pathlib import Path

import pandas as pd
import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import promised_keys
from rankscale.core.options import add_options, parsed
from rankscale.core.progress import progress
from rankscale.evaluation.slices.options import SliceOptions
from rankscale.evaluation.slices.query_features import query_features
from rankscale.evaluation.slices.sliced import slice_rows
from rankscale.storage import manifests, origins, schemas, tables
from rankscale.storage.identity import add_study_name, refuse_other_studies


def main(args: argparse.Namespace) -> None:
    """Write one row a checkpoint, test set, kind of candidates and slice."""
    options = parsed(SliceOptions, args)
    if args.study_name:
        refuse_other_studies(args.observations, args.study_name)
    features = features_of(args, options)
    rows = []
    for path in progress(args.observations, "slice", "checkpoint"):
        collection = promised_keys(path).get("collection")
        if collection not in features:
            raise StudyError(f"{path}: is of a collection that is not named among --collections")
        observed = tables.read("observations", path).to_pandas()
        for key, part in observed.groupby([*schemas.EVALUATED_KEY, "split", "candidates"], sort=False):
            named = dict(zip((*schemas.EVALUATED_KEY, "split", "candidates"), key, strict=True))
            sliced = slice_rows(part, features[collection], options.ties, options.correction)
            rows += [{**named, **row} for row in sliced]
    table = pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["slices"])
    tables.write("slices", table, args.output, study=args.study_name)
    log.info("%d checkpoints on slices of their queries, %d rows", len(args.observations), len(rows))


def features_of(args: argparse.Namespace, options: SliceOptions) -> dict[str, pd.DataFrame]:
    """The features of the evaluated queries of each collection, the first of which is trained on."""
    features = {}
    for folder, path in zip(args.collections, args.candidates, strict=True):
        manifests.refuse_changed(folder / manifests.MANIFEST, *manifests.COLLECTED)
        candidates = tables.read("candidates", path)
        origins.refuse_other_collection(path, origins.origin_of(candidates.schema), folder)
        features[path.stem] = query_features(folder, args.collections[0], options.train_split, candidates)
    return features


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("slice", __doc__)
    parser.add_argument("--observations", type=Path, nargs="+", required=True, help="of the checkpoints to look at")
    parser.add_argument("--collections", type=Path, nargs="+", required=True, help="folders, that of training first")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True, help="of each, named as it is")
    parser.add_argument("--output", type=Path, required=True)
    add_study_name(parser)
    add_options(parser, SliceOptions)
    return parser
