"""The frozen encoders of the miner: TF-IDF with truncated SVD, or any transformer; and one shard of their vectors."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.options import result_settings
from rankscale.core.progress import progress_bar
from rankscale.models import bi_encoder, devices, encoding
from rankscale.models.pretrained import load_pretrained
from rankscale.search import vector_shards
from rankscale.search.options import EncodeOptions
from rankscale.storage import manifests, origins, tables
from rankscale.text.text_batches import KEYS, batches
from rankscale.text.token_store import TokenStore
from rankscale.text.tokenizers import ids_of, load, special_tokens_of

BATCH = 50_000  # texts sorted by length together: hardly any padding is left, and memory stays small
DIMENSION = 256
SEED = 0
NOT_OF_ENCODER = ("shard", "shards", "threads")  # the same vectors but for their last bits
# Thai and Lao, Burmese, Khmer, Japanese and Chinese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+"
)
SOME = 0.01  # of the documents; in a collection with fewer of them words alone count

Encoder = Callable[[str, list[str]], np.ndarray]  # documents or queries, their texts: vectors float32 [n, d]


def encode_shard(options: EncodeOptions, collection: Path, documents: Path, queries: Path) -> None:
    """Write the vectors of shard `shard` of `shards`: a contiguous part of the documents and one of the queries.

    Raises StudyError where there is no such shard, or it would be empty.
    """
    manifests.refuse_changed(collection / manifests.MANIFEST, *(f"{unit}.parquet" for unit in KEYS))
    rows = {unit: shard_rows(collection, unit, options.shard, options.shards) for unit in KEYS}
    first, last = rows["documents"]
    log.info(
        "encoding shard %d of %d (%d documents) with %s: hard negatives are searched among these vectors",
        options.shard + 1,
        options.shards,
        last - first,
        options.encoder,
    )
    encode = lsa(collection, options.threads) if options.encoder == "lsa" else Transformer(options)
    dimension = encode("queries", ["a"]).shape[1]
    settings = {key: value for key, value in result_settings(options).items() if key not in NOT_OF_ENCODER}
    for unit, path in (("documents", documents), ("queries", queries)):
        first, last = rows[unit]
        with (
            vector_shards.shard_writer(
                path, dimension, origins.of_collection(collection, f"{unit}.parquet", encoder=settings)
            ) as write,
            progress_bar(last - first, f"encode {unit}", "text") as bar,
        ):
            for ids, texts in batches(collection, unit, BATCH, rows[unit]):
                write(ids, encode(unit, texts))
                bar.update(len(texts))


def shard_rows(collection: Path, unit: str, shard: int, shards: int) -> tuple[int, int]:
    """From which row and up to which one the texts of a shard stand. Raises StudyError if it is empty or none."""
    if not 0 <= shard < shards:
        raise StudyError(f"--shard {shard}: is none of {shards} shards, which count from 0")
    edges = np.linspace(0, tables.count(collection / f"{unit}.parquet"), shards + 1).astype(int)
    first, last = int(edges[shard]), int(edges[shard + 1])
    if first == last:
        raise StudyError(f"miner.shards: {shards} shards are more than the collection has {unit}; take fewer")
    return first, last


def lsa(collection: Path, threads: int) -> Encoder:
    """Unit vectors [n, 256] by latent semantic analysis of the documents, all of which it holds in memory.

    Fitted on the documents alone; the queries, evaluated ones among them, are only projected.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    parts = tables.scan("documents", collection / "documents.parquet", ["text"])
    documents = [text for part in parts for text in part["text"].to_pylist()]
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32)
    unspaced = sum(map(is_unspaced, documents))
    if unspaced > SOME * len(documents):
        log.info("%d documents are in scripts without blanks: of those, characters and pairs count", unspaced)
        plain = words.build_analyzer()
        words.set_params(analyzer=lambda text: [*plain(UNSPACED.sub(" ", text)), *character_pairs(text)])
    try:
        counts = words.fit_transform(documents)
        if counts.shape[1] < 2:
            raise ValueError("one word stands in two documents or more, and no other")
    except ValueError as error:
        raise StudyError(f"miner lsa: {error}; the collection is too small or has no words") from error
    svd = TruncatedSVD(min(DIMENSION, counts.shape[1] - 1), random_state=SEED)
    with threadpool_limits(threads):
        svd.fit(counts)

    def encode(_: str, texts: list[str]) -> np.ndarray:
        with threadpool_limits(threads):
            return normalize(svd.transform(words.transform(texts)))

    return encode


def is_unspaced(text: str) -> bool:
    """Whether most of a text is in a script that puts no blanks between words."""
    return not text.isascii() and 2 * sum(map(len, UNSPACED.findall(text))) > len(text)


def character_pairs(text: str) -> list[str]:
    """The characters of a text in scripts without blanks, and each two that follow each other.

    Such pairs find nearly as well as words in Chinese (Nie, Gao, Zhang and Zhou, On the Use of Words and N-grams for
    Chinese Information Retrieval, 2000).
    """
    runs = UNSPACED.findall(text)
    return [run[i : i + n] for run in runs for n in (1, 2) for i in range(len(run) - n + 1)]


class Transformer:
    """Vectors [n, hidden] by a frozen transformer encoder; `flops` are those of all texts so far."""

    def __init__(self, options: EncodeOptions) -> None:
        self.options, self.flops = options, 0.0
        self.device = devices.set_up_device(options.device, options.threads)
        self.tokenizer = load(options.encoder)
        self.special = special_tokens_of(self.tokenizer)
        self.model = bi_encoder.BiEncoder(load_pretrained(options.encoder), None, options.pooling).to(self.device)
        self.prefix = {"documents": options.passage_prefix, "queries": options.query_prefix}
        self.longest = {"documents": options.passage_length, "queries": options.query_length}

    def __call__(self, unit: str, texts: list[str]) -> np.ndarray:
        """Vectors float32 [n, hidden] of documents or queries."""
        lists, rows = ids_of(self.tokenizer, [self.prefix[unit] + text for text in texts]), np.arange(len(texts))
        tokens = TokenStore.of(pa.array(texts), lists, self.special, self.longest[unit])
        with devices.autocast_to(self.options.precision, self.device):
            vectors = encoding.encode(self.model, tokens, rows, self.device, f"encode {len(texts)} {unit}")
        self.flops += self.model.training_flops(tokens.lengths) / 3  # forward alone
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if self.options.normalize else vectors
