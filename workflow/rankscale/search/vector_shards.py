"""Vectors in Parquet: 16-bit floats as fixed-size lists, written and read without a step per row."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rankscale.core.errors import StudyError
from rankscale.storage import origins, schemas, tables

ROWS = 1 << 12  # of a row group: what is read at once
PART = 400 << 20  # bytes of float32 vectors that are worth one scan: fewer parts, fewer lists to merge


def shard_schema(dimension: int) -> pa.Schema:
    """A shard's columns: `id`, and `vector` as a fixed-size list of 16-bit floats."""
    item = pa.field("item", pa.float16(), nullable=False)
    return schemas.schema("id", id=pa.string(), vector=pa.list_(item, dimension))


@contextlib.contextmanager
def shard_writer(
    path: str | Path, dimension: int, origin: Mapping[str, Any] | None = None
) -> Iterator[Callable[[pa.Array, np.ndarray], None]]:
    """A function that appends ids and their vectors [n, dimension]; the shard appears whole when the block ends well.

    `origin` (see storage.origins) is kept with them. Raises StudyError for a vector that is not finite in 16 bits.
    """
    like = shard_schema(dimension)
    # Vectors hardly compress, and a dictionary of them costs more time than the disk does.
    kwargs = {"use_dictionary": False, "compression": {"id": "zstd", "vector.list.element": "none"}}
    with tables.writer("vectors", path, like=tables.with_origin(like, origin), **kwargs) as append:

        def write(ids: pa.Array, vectors: np.ndarray) -> None:
            with np.errstate(over="ignore"):
                half = vectors.astype(np.float16)
            bad = np.flatnonzero(~np.isfinite(half).all(1))
            if len(bad):
                raise StudyError(f"{path}: the encoder gave a vector that is not finite for {ids[bad[0]]}")
            for start in range(0, len(half), ROWS):
                chunk = half[start : start + ROWS]
                lists = pa.FixedSizeListArray.from_arrays(chunk.reshape(-1), type=like.field("vector").type)
                append(pa.table([ids[start : start + ROWS], lists], schema=like))

        yield write


def shard_shape(path: str | Path) -> tuple[int, int]:
    """How many vectors a shard has, and their dimension. Raises StudyError if it is no whole shard."""
    with tables.reading(path):
        schema = pq.read_schema(path)
    kind = schema.field("vector").type if "vector" in schema.names else None
    if not isinstance(kind, pa.FixedSizeListType):
        raise StudyError(f"{path}: no fixed-size list column 'vector'; remake it with the encode stage")
    return tables.count(path), kind.list_size


def refuse_unlike(shards: Sequence[str | Path], collection: Path) -> None:
    """Raise StudyError unless all shards, of documents and of queries, are by one encoder, of the collection's texts.

    The vectors of two encoders, or of other texts under the same ids, have the same form.
    """
    shard_origins = [(path, origins.read_origin(path)) for path in shards]
    for path, origin in shard_origins:
        origins.refuse_other_collection(path, origin, collection)
    origins.refuse_mixed(shard_origins, "encoder", "delete the miner's vectors and run again")


def shard_ids(path: str | Path) -> pa.ChunkedArray:
    """The ids of a shard, in order. Raises StudyError as `shard_shape` does."""
    return tables.read("vectors", path, ["id"], like=shard_schema(shard_shape(path)[1]))["id"]


def read_shard(path: str | Path) -> tuple[pa.Array, np.ndarray]:
    """ids and vectors float32 [n, dimension] of a whole shard. Raises StudyError as `shard_shape` does."""
    ids = shard_ids(path).combine_chunks()
    parts = [part.copy() for _, part in vector_chunks([path], PART)]
    return ids, np.concatenate(parts) if parts else np.empty((0, shard_shape(path)[1]), np.float32)


def vector_chunks(shards: Sequence[str | Path], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows int64 and vectors float32 of all shards in order, about `size` bytes at a time.

    One buffer serves all parts: what is to be kept must be copied. Raises StudyError for a shard that is not whole, has
    another dimension than the first, or holds a vector that is not finite.
    """
    dimension = shard_shape(shards[0])[1]
    total = sum(shard_shape(path)[0] for path in shards)
    buffer = np.empty((min(total, max(ROWS, size // (4 * dimension))), dimension), np.float32)
    start = filled = 0
    for path in shards:
        for part in tables.scan("vectors", path, ["vector"], like=shard_schema(dimension)):
            half = part["vector"].combine_chunks().flatten().to_numpy().reshape(-1, dimension)
            taken = 0
            while taken < len(half):
                chunk = half[taken : taken + len(buffer) - filled]
                target = buffer[filled : filled + len(chunk)]
                target[:] = chunk
                _refuse_holes(path, target)
                taken, filled = taken + len(chunk), filled + len(chunk)
                if filled == len(buffer):
                    yield np.arange(start, start + filled), buffer
                    start, filled = start + filled, 0
    if filled:
        yield np.arange(start, start + filled), buffer[:filled]


def _refuse_holes(path: str | Path, vectors: np.ndarray) -> None:
    # A sum is finite only if all its terms are, and is one pass instead of three.
    if not np.isfinite(vectors.sum()) and not np.isfinite(vectors).all():
        raise StudyError(f"{path}: has a vector that is not finite; delete it and run again")
