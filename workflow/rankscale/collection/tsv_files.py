"""Collections in the tab-separated files of MS MARCO and TREC."""

import argparse
import json
from pathlib import Path

from rankscale.collection import readers
from rankscale.collection.base import Source
from rankscale.core.errors import StudyError


def from_tsv(args: argparse.Namespace) -> Source:
    """Files in the MS MARCO and TREC formats, plain or gzipped: corpus, and queries and judgments by split."""
    try:
        place = dict(json.loads(args.files or "{}"))
    except (ValueError, TypeError) as error:
        raise StudyError(f"--files: is no JSON mapping of corpus, queries and qrels ({error})") from None
    missing = [key for key in ("corpus", "queries", "qrels") if key not in place]
    if missing:
        raise StudyError(f"collection.path.{missing[0]}: is missing; source tsv needs corpus, queries and qrels")
    queries = dict.fromkeys(place["queries"].values())  # a file may serve several splits
    return Source(
        readers.tsv_texts(Path(place["corpus"])),
        (text for path in queries for text in readers.tsv_texts(Path(path))),
        {split: readers.judgments(Path(path)) for split, path in sorted(place["qrels"].items())},
        {},
    )
