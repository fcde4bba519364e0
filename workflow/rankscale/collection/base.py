"""What a source of collections is: how the config is checked against it, and what it gives when it is read.

Imported by the Snakefile, as are all sources: nothing heavy at the top of their modules.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rankscale.collection import readers
from rankscale.collection.options import CollectOptions
from rankscale.core.cli import log


class Source(NamedTuple):
    """A collection as it is read: texts one by one, judgments by split, and facts for the manifest."""

    documents: Iterable[readers.Text]
    queries: Iterable[readers.Text]
    judgments: Mapping[str, Iterable[readers.Judgment]]
    facts: dict[str, object]


class LeftOut:
    """What of a source is left out or merged: how often by reason, and where the first stands."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}

    def add(self, why: str, where: str, n: int = 1) -> None:
        """Count `n` more."""
        self.first.setdefault(why, where)
        self.counts[why] = self.counts.get(why, 0) + n

    def say(self) -> None:
        """Log a line a reason."""
        for why, n in self.counts.items():
            log.info("%d %s, the first: %s", n, why, self.first[why])


def no_files(path: Any) -> list[tuple[str, str]]:
    """Of a source that reads no local files."""
    return []


class SourceKind(NamedTuple):
    """One value of `collection.source`; `path` below is what `collection.path` holds.

    `path_type`, `path_words`: the type that it must have, and what it must be in words. `splits(path)`: the splits that
    the source judges; None if only its library can say. `files(path)`: the local files that it is read from, each after
    its key below `collection.path`; `archive!member` stands for a member. `option_names`: the keys of the config's
    section, beside source, path, titles and positive_grade, that decide what is collected. `read(options, folder)`: the
    collection; what it downloads it keeps in `folder`. Raises StudyError where that cannot be read. `may_be_graded`:
    whether its training judgments can have more than one grade of relevance.
    """

    name: str
    path_type: type
    path_words: str
    read: Callable[[CollectOptions, Path], Source]
    splits: Callable[[Any], set[str] | None]
    files: Callable[[Any], list[tuple[str, str]]] = no_files
    option_names: tuple[str, ...] = ()
    may_be_graded: bool = True
