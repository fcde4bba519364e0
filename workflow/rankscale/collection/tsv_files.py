"""Collections in the tab-separated files of MS MARCO and TREC."""

from pathlib import Path
from typing import Any

from rankscale.collection import readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError


def read(options: CollectOptions, folder: Path) -> Source:
    """Files in the MS MARCO and TREC formats, plain or gzipped: corpus, and queries and judgments by split.

    Raises StudyError if one of the three is not given.
    """
    paths: dict[str, Any] = options.files or {}
    missing = [key for key in ("corpus", "queries", "qrels") if key not in paths]
    if missing:
        raise StudyError(f"collection.path.{missing[0]}: is missing; source tsv needs corpus, queries and qrels")
    queries = dict.fromkeys(paths["queries"].values())  # a file may serve several splits
    return Source(
        readers.document_lines(Path(paths["corpus"])),
        (text for path in queries for text in readers.query_lines(Path(path))),
        {split: readers.judgments(Path(path)) for split, path in sorted(paths["qrels"].items())},
        {},
    )


def splits(paths: dict[str, Any]) -> set[str]:
    """The splits with a file of judgments."""
    return set(paths["qrels"])


def files(paths: dict[str, Any]) -> list[tuple[str, str]]:
    """All files, or members of archives, that the mapping names."""
    by_split = [(f".{kind}.{split}", path) for kind in ("queries", "qrels") for split, path in paths[kind].items()]
    return [(".corpus", paths["corpus"]), *by_split]


TSV_FILES = SourceKind("tsv", dict, "a mapping of corpus, queries and qrels", read, splits, files)
