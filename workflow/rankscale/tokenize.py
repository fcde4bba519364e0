"""Turn every text into token ids, once: a WordPiece vocabulary of the collection's own, or a model's tokenizer."""

import argparse
import json
from pathlib import Path

import pyarrow as pa

from rankscale import command, tables
from rankscale.command import log
from rankscale.tokenizer import frame, ids_of, load, train_wordpiece


def main(args: argparse.Namespace) -> None:
    """Write token ids of documents and queries, the tokenizer itself, and what surrounds a text's ids."""
    documents = tables.read("documents", args.collection / "documents.parquet")
    queries = tables.read("queries", args.collection / "queries.parquet")
    if args.tokenizer:
        log.info("tokenizing with %s: every text once, for all models that share it", args.tokenizer)
        tokenizer = load(args.tokenizer)
        tokenizer.save_pretrained(args.output)
    else:
        log.info("training a WordPiece vocabulary of %d on documents and training queries", args.vocabulary)
        # Evaluated queries stay unseen: not even their words shape the vocabulary.
        seen = [q["text"] for q in queries.select(["split", "text"]).to_pylist() if q["split"] == "train"]
        train_wordpiece(documents["text"].to_pylist() + seen, args.vocabulary, args.output)
        tokenizer = load(args.output)
    for unit, table, key in (("documents", documents, "doc_id"), ("queries", queries, "query_id")):
        ids = ids_of(tokenizer, table["text"].to_pylist(), unit)
        columns = pa.table([table[key].combine_chunks(), ids], schema=tables.SCHEMAS["tokens"])
        tables.write("tokens", columns, args.output / f"{unit}.parquet")
        log.info("%d %s, %.1f tokens on average", len(ids), unit, len(ids.values) / max(len(ids), 1))
    with tables.whole(args.output / "special.json") as beside:
        beside.write_text(json.dumps(frame(tokenizer)._asdict()) + "\n", encoding="utf-8")
    command.write_manifest(args, args.output)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("tokenize", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents and queries")
    made.add_argument("--tokenizer", help="hub id or folder; without it a vocabulary is trained")
    made.add_argument("--vocabulary", type=int, default=8000, help="size of the vocabulary to train")
    command.add_manifest(made)
    made.add_argument("--output", type=Path, required=True, help="folder for ids and tokenizer")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
