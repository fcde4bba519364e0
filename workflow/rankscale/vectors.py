"""Vectors in Parquet: 16-bit floats as fixed-size lists, written and read without a step per row."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rankscale import tables
from rankscale.errors import StudyError

ROWS = 1 << 14  # of a row group: what is held at once when vectors are streamed


def schema(dimension: int) -> pa.Schema:
    """A shard's columns: `id`, and `vector` as a fixed-size list of 16-bit floats."""
    item = pa.field("item", pa.float16(), nullable=False)
    return tables.schema("id", id=pa.string(), vector=pa.list_(item, dimension))


@contextlib.contextmanager
def writer(path: str | Path, dimension: int) -> Iterator[Callable[[pa.Array, np.ndarray], None]]:
    """A function that appends ids and their vectors [n, dimension]; the shard appears whole when the block ends well.

    Raises StudyError for a vector that is not finite in 16 bits.
    """
    like = schema(dimension)
    # Vectors hardly compress, and a dictionary of them costs more time than the disk does.
    how = {"use_dictionary": False, "compression": {"id": "zstd", "vector.list.element": "none"}}
    with tables.writer("vectors", path, like=like, **how) as append:

        def write(ids: pa.Array, vectors: np.ndarray) -> None:
            with np.errstate(over="ignore"):
                half = vectors.astype(np.float16)
            bad = np.flatnonzero(~np.isfinite(half).all(1))
            if len(bad):
                raise StudyError(f"{path}: the encoder gave a vector that is not finite for {ids[bad[0]]}")
            for start in range(0, len(half), ROWS):
                some = half[start : start + ROWS]
                lists = pa.FixedSizeListArray.from_arrays(some.reshape(-1), type=like.field("vector").type)
                append(pa.table([ids[start : start + ROWS], lists], schema=like))

        yield write


def shape(path: str | Path) -> tuple[int, int]:
    """How many vectors a shard has, and their dimension. Raises StudyError if it is no whole shard."""
    with tables.reading(path):
        found = pq.read_schema(path)
    kind = found.field("vector").type if "vector" in found.names else None
    if not isinstance(kind, pa.FixedSizeListType):
        raise StudyError(f"{path}: no fixed-size list column 'vector'; remake it with the encode stage")
    return tables.count(path), kind.list_size


def scan(path: str | Path) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """ids and vectors float16 [n, dimension] of a shard, a row group at a time. Raises StudyError as `shape` does."""
    _, dimension = shape(path)
    for part in tables.scan("vectors", path, like=schema(dimension)):
        flat = part["vector"].combine_chunks().flatten().to_numpy()
        vectors = flat.reshape(-1, dimension)
        # A sum is finite only if all its terms are, and costs a third of looking at each.
        if not np.isfinite(np.add.reduce(flat, dtype=np.float32)):
            bad = np.flatnonzero(~np.isfinite(vectors).all(1))
            if len(bad):
                raise StudyError(f"{path}: vector of {part['id'][bad[0]]} is not finite")
        yield part["id"].combine_chunks(), vectors


def parts(shards: Sequence[str | Path], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows int64 and vectors float16 of all shards in order, about `size` bytes of single precision at a time."""
    held: list[np.ndarray] = []
    start = rows = 0
    for path in shards:
        for _, vectors in scan(path):
            held.append(vectors)
            rows += len(vectors)
            if (rows + ROWS) * vectors.shape[1] * 4 > size:
                yield np.arange(start, start + rows), np.concatenate(held)
                held, start, rows = [], start + rows, 0
    if held:
        yield np.arange(start, start + rows), np.concatenate(held)
