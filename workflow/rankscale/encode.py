"""Encode one shard of documents and queries with the frozen miner: TF-IDF + truncated SVD, or a transformer."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from rankscale import command, tables
from rankscale.command import log
from rankscale.errors import StudyError

DIMENSION = 256
SEED = 0


def lsa(documents: list[str], queries: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors float32 [n, 256] of documents and queries: latent semantic analysis of the documents.

    Fitted on the documents alone; the queries, evaluated ones among them, are only projected.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
    try:
        counts = words.fit_transform(documents)
    except ValueError as error:
        raise StudyError(f"miner lsa: {error}; the collection is too small or has no words") from error
    svd = TruncatedSVD(min(DIMENSION, counts.shape[1] - 1), random_state=SEED)
    documents_out = svd.fit_transform(counts)
    return normalize(documents_out), normalize(svd.transform(words.transform(queries)))


def transformer(args: argparse.Namespace, documents: list[str], queries: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 [n, hidden] of documents and queries by a frozen transformer encoder."""
    from rankscale import models
    from rankscale.store import Tokens
    from rankscale.tokenizer import frame, ids_of, load

    device = models.set_up(args.device, args.threads)
    tokenizer = load(args.encoder)
    model = models.BiEncoder(models.pretrained(args.encoder), None, args.pooling).to(device)

    def vectors(texts: list[str], unit: str, prefix: str, longest: int) -> np.ndarray:
        lists = ids_of(tokenizer, [prefix + text for text in texts], unit)
        tokens = Tokens(pa.array(texts), lists, frame(tokenizer), longest)
        made = models.encode(model, tokens, np.arange(len(texts)), device, f"encode {unit}")
        return made / np.linalg.norm(made, axis=1, keepdims=True) if args.normalize else made

    return (
        vectors(documents, "documents", args.passage_prefix, args.passage_length),
        vectors(queries, "queries", args.query_prefix, args.query_length),
    )


def main(args: argparse.Namespace) -> None:
    """Write the vectors of shard `shard` of `shards`: a contiguous part of the documents and of the queries."""
    documents = tables.read("documents", args.collection / "documents.parquet")
    queries = tables.read("queries", args.collection / "queries.parquet")
    parts = []
    for table in (documents, queries):
        edges = np.linspace(0, len(table), args.shards + 1).astype(int)
        parts.append(slice(edges[args.shard], edges[args.shard + 1]))
    log.info(
        "encoding shard %d of %d (%d documents) with %s: hard negatives are searched among these vectors",
        args.shard + 1,
        args.shards,
        parts[0].stop - parts[0].start,
        args.encoder,
    )
    texts = [documents["text"].to_pylist(), queries["text"].to_pylist()]
    if args.encoder == "lsa":
        with threadpool_limits(args.threads):
            vectors = [v[p] for v, p in zip(lsa(*texts), parts, strict=True)]
    else:
        vectors = list(transformer(args, *(t[p] for t, p in zip(texts, parts, strict=True))))
    for table, key, part, made, path in (
        (documents, "doc_id", parts[0], vectors[0], args.documents),
        (queries, "query_id", parts[1], vectors[1], args.queries),
    ):
        tables.write_vectors(table[key].combine_chunks()[part], made, path)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("encode", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents and queries")
    made.add_argument("--encoder", default="lsa", help="lsa, a hub id or a folder")
    made.add_argument("--pooling", choices=["cls", "mean"], default="mean")
    made.add_argument("--normalize", action="store_true", help="scale the vectors to length 1")
    made.add_argument("--query-prefix", default="")
    made.add_argument("--passage-prefix", default="")
    made.add_argument("--query-length", type=int, default=64, help="tokens, special ones included")
    made.add_argument("--passage-length", type=int, default=256, help="tokens, special ones included")
    made.add_argument("--shard", type=int, default=0)
    made.add_argument("--shards", type=int, default=1)
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--documents", type=Path, required=True, help="output: this shard's document vectors")
    made.add_argument("--queries", type=Path, required=True, help="output: this shard's query vectors")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
