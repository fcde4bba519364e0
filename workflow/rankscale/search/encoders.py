"""The frozen encoders of the miner: TF-IDF with truncated SVD, or any transformer."""

import argparse
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from rankscale.core.errors import StudyError
from rankscale.models import bi_encoder, devices, encoding
from rankscale.models.pretrained import load_pretrained
from rankscale.storage import tables
from rankscale.text.token_store import TokenStore
from rankscale.text.tokenizers import ids_of, load, special_tokens_of

DIMENSION = 256


SEED = 0


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
