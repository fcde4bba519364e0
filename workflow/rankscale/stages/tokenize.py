"""Turn every text into token ids, once: a WordPiece vocabulary of the collection's own, or a model's tokenizer."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.progress import progress_bar
from rankscale.storage import manifests, schemas, tables
from rankscale.text.text_batches import KEYS, batches
from rankscale.text.tokenizers import ids_of, load, special_tokens_of, train_wordpiece

BATCH = 10_000  # texts tokenized together, by all cores


def seen(collection: Path, split: str) -> Iterator[str]:
    """What a vocabulary may be trained on: documents, and the queries of the training split.

    Evaluated queries stay unseen: not even their words shape the vocabulary.
    """
    for _, some in batches(collection, "documents", BATCH):
        yield from some
    qrels = tables.read("qrels", collection / "qrels.parquet", ["split", "query_id"])
    trained = qrels["query_id"].filter(pc.equal(qrels["split"], split))
    for ids, some in batches(collection, "queries", BATCH):
        yield from pa.array(some).filter(pc.is_in(ids, trained)).to_pylist()


def main(args: argparse.Namespace) -> None:
    """Write token ids of documents and queries, the tokenizer itself, and what surrounds a text's ids."""
    if args.tokenizer:
        log.info("tokenizing with %s: every text once, for all models that share it", args.tokenizer)
        tokenizer = load(args.tokenizer)
        tokenizer.save_pretrained(args.output)
    else:
        log.info("training a WordPiece vocabulary of %d on documents and training queries", args.vocabulary)
        train_wordpiece(seen(args.collection, args.split), args.vocabulary, args.output)
        tokenizer = load(args.output)
    for unit in KEYS:
        n, tokens = tables.count(args.collection / f"{unit}.parquet"), 0
        with (
            tables.writer("tokens", args.output / f"{unit}.parquet", use_dictionary=["id"]) as write,
            progress_bar(n, f"tokenize {unit}", "text") as shown,
        ):
            for ids, some in batches(args.collection, unit, BATCH):
                lists = ids_of(tokenizer, some)
                write(pa.table([ids, lists], schema=schemas.SCHEMAS["tokens"]))
                tokens += len(lists.values)
                shown.update(len(some))
        log.info("%d %s, %.1f tokens on average", n, unit, tokens / max(n, 1))
    with atomic_files.whole(args.output / "special.json") as beside:
        beside.write_text(json.dumps(special_tokens_of(tokenizer)._asdict()) + "\n", encoding="utf-8")
    manifests.write_manifest(args, args.output / "manifest.json")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("tokenize", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    made.add_argument("--tokenizer", help="hub id or folder; without it a vocabulary is trained")
    made.add_argument("--vocabulary", type=int, default=8000, help="size of the vocabulary to train")
    made.add_argument("--split", default="train", help="whose queries the vocabulary is trained on, too")
    manifests.add_manifest(made)
    made.add_argument("--output", type=Path, required=True, help="folder for ids and tokenizer")
    return made
