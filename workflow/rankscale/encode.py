"""Encode one shard of documents and queries with the frozen miner: TF-IDF + truncated SVD, or a transformer."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from rankscale import vectors
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress_bar
from rankscale.storage import tables
from rankscale.text.text_batches import KEYS, batches

DIMENSION = 256
SEED = 0
BATCH = 50_000  # texts sorted by length together: hardly any padding is left, and memory stays small

Encoder = Callable[[str, list[str]], np.ndarray]  # documents or queries, their texts: vectors float32 [n, d]


def lsa(args: argparse.Namespace) -> Encoder:
    """Unit vectors [n, 256] by latent semantic analysis of the documents, all of which it holds in memory.

    Fitted on the documents alone; the queries, evaluated ones among them, are only projected.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    known = args.collection / "documents.parquet"
    documents = [t for part in tables.scan("documents", known, ["text"]) for t in part["text"].to_pylist()]
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
    try:
        counts = words.fit_transform(documents)
    except ValueError as error:
        raise StudyError(f"miner lsa: {error}; the collection is too small or has no words") from error
    svd = TruncatedSVD(min(DIMENSION, counts.shape[1] - 1), random_state=SEED)
    with threadpool_limits(args.threads):
        svd.fit(counts)

    def encode(_: str, texts: list[str]) -> np.ndarray:
        with threadpool_limits(args.threads):
            return normalize(svd.transform(words.transform(texts)))

    return encode


def transformer(args: argparse.Namespace) -> Encoder:
    """Vectors [n, hidden] by a frozen transformer encoder."""
    from rankscale.models import bi_encoder, devices, encoding
    from rankscale.models.pretrained import load_pretrained
    from rankscale.text.token_store import TokenStore
    from rankscale.text.tokenizers import ids_of, load, special_tokens_of

    device = devices.set_up_device(args.device, args.threads)
    tokenizer = load(args.encoder)
    around = special_tokens_of(tokenizer)
    model = bi_encoder.BiEncoder(load_pretrained(args.encoder), None, args.pooling).to(device)
    prefix = {"documents": args.passage_prefix, "queries": args.query_prefix}
    longest = {"documents": args.passage_length, "queries": args.query_length}

    def encode(unit: str, texts: list[str]) -> np.ndarray:
        lists = ids_of(tokenizer, [prefix[unit] + text for text in texts])
        tokens = TokenStore.of(pa.array(texts), lists, around, longest[unit])
        with devices.autocast_to(args.precision, device):
            made = encoding.encode(model, tokens, np.arange(len(texts)), device, f"encode {len(texts)} {unit}")
        return made / np.linalg.norm(made, axis=1, keepdims=True) if args.normalize else made

    return encode


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
        with vectors.writer(path, dimension) as write, progress_bar(last - first, f"encode {unit}", "text") as shown:
            for ids, some in batches(args.collection, unit, BATCH, rows[unit]):
                write(ids, encode(unit, some))
                shown.update(len(some))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("encode", __doc__)
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


if __name__ == "__main__":
    cli.run_stage(main, arguments())
