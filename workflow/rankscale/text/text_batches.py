"""Documents and queries of a collection as texts, some thousand at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from rankscale.storage import tables

KEYS = {"documents": "doc_id", "queries": "query_id"}


def batches(
    collection: Path, unit: str, size: int, rows: tuple[int, int] | None = None
) -> Iterator[tuple[pa.Array, list[str]]]:
    """Ids and texts of the documents or queries (or of their `rows` from, to), at most `size` together."""
    for part in tables.scan(unit, collection / f"{unit}.parquet", [KEYS[unit], "text"], rows):
        for start in range(0, len(part), size):
            some = part.slice(start, size)
            yield some[KEYS[unit]].combine_chunks(), some["text"].to_pylist()
