"""Turn every text into token ids, once: a WordPiece vocabulary of the collection's own, or a model's tokenizer."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.core.progress import progress_bar
from rankscale.storage import manifests, schemas, tables
from rankscale.storage.digests import content_hash
from rankscale.text.options import TokenizeOptions
from rankscale.text.text_batches import KEYS, batches
from rankscale.text.token_store import TOKENIZER
from rankscale.text.tokenizers import ids_of, load, special_tokens_of, train_wordpiece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

STORED = (*(f"{unit}.parquet" for unit in KEYS), "special.json")
BATCH = 10_000  # texts tokenized together, by all cores


def main(args: argparse.Namespace) -> None:
    """Write token ids of documents and queries, the tokenizer itself, and what surrounds a text's ids."""
    manifests.refuse_changed(args.collection / manifests.MANIFEST, *manifests.COLLECTED)
    tokenizer = prepare_tokenizer(parsed(TokenizeOptions, args), args.collection, args.output)
    for unit in KEYS:
        tokenize_texts(tokenizer, args.collection, unit, args.output / f"{unit}.parquet")
    with atomic_files.whole(args.output / "special.json") as beside:
        beside.write_text(json.dumps(special_tokens_of(tokenizer)._asdict()) + "\n", encoding="utf-8")
    files = manifests.checksums(args.output / name for name in STORED)
    sources = manifests.sources(args.collection, *(f"{unit}.parquet" for unit in KEYS))
    known = {TOKENIZER: content_hash(tokenizer.get_vocab())}
    manifests.write_manifest(args, args.output / manifests.MANIFEST, files=files, sources=sources, **known)


def prepare_tokenizer(options: TokenizeOptions, collection: Path, folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer that is named, or one trained on the collection; its files are left in `folder`."""
    if options.tokenizer:
        log.info("tokenizing with %s: every text once, for all models that share it", options.tokenizer)
        tokenizer = load(options.tokenizer)
        tokenizer.save_pretrained(folder)
        return tokenizer
    log.info("training a WordPiece vocabulary of %d on documents and training queries", options.vocabulary)
    train_wordpiece(vocabulary_texts(collection, options.split), options.vocabulary, folder)
    return load(folder)


def vocabulary_texts(collection: Path, split: str) -> Iterator[str]:
    """What a vocabulary may be trained on: documents, and the queries of the training split.

    Evaluated queries stay unseen: not even their words shape the vocabulary.
    """
    for _, texts in batches(collection, "documents", BATCH):
        yield from texts
    qrels = tables.read("qrels", collection / "qrels.parquet", ["split", "query_id"])
    trained = qrels["query_id"].filter(pc.equal(qrels["split"], split))
    for ids, texts in batches(collection, "queries", BATCH):
        yield from pa.array(texts).filter(pc.is_in(ids, trained)).to_pylist()


def tokenize_texts(tokenizer: "PreTrainedTokenizerFast", collection: Path, unit: str, path: Path) -> None:
    """Write the token ids of the documents or queries to `path`."""
    n, tokens = tables.count(collection / f"{unit}.parquet"), 0
    with (
        tables.writer("tokens", path, use_dictionary=["id"]) as write,
        progress_bar(n, f"tokenize {unit}", "text") as bar,
    ):
        for ids, texts in batches(collection, unit, BATCH):
            lists = ids_of(tokenizer, texts)
            write(pa.table([ids, lists], schema=schemas.SCHEMAS["tokens"]))
            tokens += len(lists.values)
            bar.update(len(texts))
    log.info("%d %s, %.1f tokens on average", n, unit, tokens / max(n, 1))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("tokenize", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    add_options(parser, TokenizeOptions)
    manifests.add_manifest(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder for ids and tokenizer")
    return parser
