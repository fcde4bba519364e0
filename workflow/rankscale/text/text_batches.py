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
    key = KEYS[unit]
    for chunk in tables.scan(unit, collection / f"{unit}.parquet", [key, "text"], rows):
        for start in range(0, len(chunk), size):
            batch = chunk.slice(start, size)
            yield batch[key].combine_chunks(), batch["text"].to_pylist()
