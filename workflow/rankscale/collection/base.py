"""What a source of collections gives: texts one by one, judgments by split, facts for the manifest."""

from collections.abc import Iterable
from typing import NamedTuple

from rankscale.collection import readers


class Source(NamedTuple):
    """A collection as it is read: texts one by one, judgments by split, and facts for the manifest."""

    documents: Iterable[readers.Text]
    queries: Iterable[readers.Text]
    judgments: dict[str, Iterable[readers.Judgment]]
    facts: dict[str, object]
