"""Encode one shard of documents and queries with the frozen miner: TF-IDF + truncated SVD, or a transformer."""

import argparse
from pathlib import Path

import numpy as np

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress_bar
from rankscale.search import vector_shards
from rankscale.search.encoders import lsa, transformer
from rankscale.storage import tables
from rankscale.text.text_batches import KEYS, batches

BATCH = 50_000  # texts sorted by length together: hardly any padding is left, and memory stays small


def main(args: argparse.Namespace) -> None:
    """Write the vectors of shard `shard` of `shards`: a contiguous part of the documents and of the queries."""
    if not 0 <= args.shard < args.shards:
        raise StudyError(f"--shard {args.shard}: is none of {args.shards} shards, which count from 0")
    rows = {}
    for unit in KEYS:
        edges = np.linspace(0, tables.count(args.collection / f"{unit}.parquet"), args.shards + 1).astype(int)
        rows[unit] = int(edges[args.shard]), int(edges[args.shard + 1])
        if rows[unit][0] == rows[unit][1]:
            raise StudyError(f"miner.shards: {args.shards} shards are more than the collection has {unit}; take fewer")
    first, last = rows["documents"]
    log.info(
        "encoding shard %d of %d (%d documents) with %s: hard negatives are searched among these vectors",
        args.shard + 1,
        args.shards,
        last - first,
        args.encoder,
    )
    encode = lsa(args) if args.encoder == "lsa" else transformer(args)
    dimension = encode("queries", ["a"]).shape[1]
    for unit, path in (("documents", args.documents), ("queries", args.queries)):
        first, last = rows[unit]
        with (
            vector_shards.shard_writer(path, dimension) as write,
            progress_bar(last - first, f"encode {unit}", "text") as shown,
        ):
            for ids, some in batches(args.collection, unit, BATCH, rows[unit]):
                write(ids, encode(unit, some))
                shown.update(len(some))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("encode", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents and queries")
    made.add_argument("--encoder", default="lsa", help="lsa, a hub id or a folder")
    made.add_argument("--pooling", choices=["cls", "mean"], default="mean")
    made.add_argument("--normalize", action="store_true", help="scale the vectors to length 1")
    made.add_argument("--query-prefix", default="")
    made.add_argument("--passage-prefix", default="")
    made.add_argument("--query-length", type=int, default=64, help="tokens, special ones included")
    made.add_argument("--passage-length", type=int, default=256, help="tokens, special ones included")
    made.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    made.add_argument("--shard", type=int, default=0)
    made.add_argument("--shards", type=int, default=1)
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--documents", type=Path, required=True, help="output: this shard's document vectors")
    made.add_argument("--queries", type=Path, required=True, help="output: this shard's query vectors")
    return made
