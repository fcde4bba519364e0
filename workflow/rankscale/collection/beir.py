"""Collections in BEIR's form: a folder or zip with corpus.jsonl, queries.jsonl and qrels/{split}.tsv."""

import argparse
from pathlib import Path

from rankscale.collection import readers
from rankscale.collection.base import Source
from rankscale.core.errors import StudyError


def from_beir(args: argparse.Namespace) -> Source:
    """A BEIR folder or zip: corpus.jsonl, queries.jsonl, qrels/{split}.tsv. Raises StudyError if one is missing."""
    if not args.path:
        raise StudyError("collection.path: is missing; source beir needs its folder or zip")
    place = Path(args.path)
    if place.suffix == ".zip":
        members = readers.members(place)
        corpus = next((m for m in members if Path(m).name == "corpus.jsonl"), None)
        if corpus is None:
            raise StudyError(f"{place}: has no member corpus.jsonl")
        root = f"{place}!{corpus.removesuffix('corpus.jsonl')}"
        qrels = {Path(m).stem: Path(f"{place}!{m}") for m in members if m.endswith(".tsv") and "qrels/" in m}
    else:
        root = f"{place}/"
        qrels = {p.stem: p for p in sorted((place / "qrels").glob("*.tsv"))}
    if not qrels:
        raise StudyError(f"{place}: has no judgments, qrels/*.tsv")
    return Source(
        readers.jsonl_texts(Path(f"{root}corpus.jsonl")),
        readers.jsonl_texts(Path(f"{root}queries.jsonl")),
        {split: readers.judgments(path) for split, path in sorted(qrels.items())},
        {},
    )
