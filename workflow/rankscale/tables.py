"""Every table that passes between stages: its Arrow schema, and the only way it is written and read.

A `row` column holds 0-based positions in the collection's `documents.parquet`; ids are the collection's own
strings. Tables are checked both ways, and a violation names the file, the column and the row.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale.errors import StudyError


def schema(key: str, nullable: str = "", **columns: pa.DataType) -> pa.Schema:
    """A schema whose `key` columns identify a row and whose columns refuse nulls unless named in `nullable`."""
    free = nullable.split()
    fields = [pa.field(name, kind, nullable=name in free) for name, kind in columns.items()]
    return pa.schema(fields, metadata={"key": key})


text, i32, i64, f32, f64, flag = pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()
run = {"model": text, "train_queries": i64, "seed": i64}
checkpoint = {**run, "step": i64}
what = {"metric": text, "split": text, "candidates": text, "axis": text, "fixed": text, "law": text}
PARTS = ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty")
FULL = ("mrr_10", "ndcg_10", "recall_100", "recall_1000", "map")
measured = {
    "n_candidates": i32,
    "n_queries": i64,
    **dict.fromkeys(PARTS, f64),
    **{f"{part}_plugin": f64 for part in PARTS[1:]},
    "mrr": f64,
    **{f"{name}_{end}": f64 for name in (*PARTS, "mrr") for end in ("low", "high")},
    "below_chance": flag,
    "too_few_queries": flag,
    **dict.fromkeys(FULL, f64),
}
trained = {
    "subset": text,
    "checkpoint": text,
    "layers": i32,
    "hidden": i32,
    "encoder_parameters": i64,
    "head_parameters": i64,
    "embedding_parameters": i64,
    "epoch": f64,
    "train_tokens": i64,
    "train_flops": f64,
    "status": text,
}
ARCHITECTURE = "layers hidden"  # unknown for encoders that do not say
SCHEMAS = {
    "documents": schema("doc_id", doc_id=text, title=text, text=text),
    "queries": schema("query_id", query_id=text, split=text, text=text),
    "qrels": schema("split query_id doc_id", split=text, query_id=text, doc_id=text, grade=i32, positive=flag),
    "tokens": schema("id", id=text, ids=pa.list_(pa.field("item", i32, nullable=False))),
    "negatives": schema("query_id", query_id=text, split=text, rows=pa.list_(i32), scores=pa.list_(f32)),
    "candidates": schema(
        "split candidates query_id",
        split=text,
        candidates=text,
        query_id=text,
        positive=i32,
        rows=pa.list_(i32),
    ),
    "checkpoints": schema("model train_queries seed step", ARCHITECTURE, **checkpoint, **trained),
    "training": schema(
        "model train_queries seed step",
        **checkpoint,
        epoch=f64,
        loss=f64,
        gradient_norm=f64,
        learning_rate=f64,
        tokens=i64,
    ),
    "training_times": schema("step", **checkpoint, seconds=f64, memory_mb=f64),
    "observations": schema(
        "split query_id candidates",
        **checkpoint,
        split=text,
        query_id=text,
        candidates=text,
        n_candidates=i32,
        loss=f64,
        above=i32,
        tied=i32,
    ),
    "runs": schema("split query_id rank", **checkpoint, split=text, query_id=text, doc_id=text, score=f32, rank=i32),
    "scores": schema("split candidates", " ".join(FULL), **checkpoint, split=text, candidates=text, **measured),
    "metrics": schema(
        "model train_queries seed step split candidates",
        " ".join((ARCHITECTURE, *FULL)),
        study=text,
        collection=text,
        **checkpoint,
        split=text,
        candidates=text,
        **trained,
        **measured,
    ),
    "fits": schema(
        "metric split candidates axis fixed law parameter",
        "r2 rmse aicc parameter estimate low high",
        **what,
        n_points=i32,
        converged=flag,
        note=text,
        r2=f64,
        rmse=f64,
        aicc=f64,
        parameter=text,
        estimate=f64,
        low=f64,
        high=f64,
    ),
    "forecasts": schema(
        "metric split candidates axis fixed law model train_queries seed",
        "predicted low high relative_error covered aicc",
        **what,
        **run,
        x=f64,
        observed=f64,
        predicted=f64,
        low=f64,
        high=f64,
        relative_error=f64,
        covered=flag,
        aicc=f64,
    ),
    "curves": schema("metric split candidates axis fixed law x", **what, x=f64, y=f64, low=f64, high=f64),
}


def vectors_schema(dimension: int) -> pa.Schema:
    """Vectors of one shard: `id`, and `vector` as a fixed-size list of 16-bit floats."""
    item = pa.field("item", pa.float16(), nullable=False)
    return schema("id", id=text, vector=pa.list_(item, dimension))


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write beside `path`; renamed over it only when the block ends well, so a kill leaves no half."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def checked(
    name: str, columns: Mapping[str, Any], path: str | Path, like: pa.Schema | None = None, unique: bool = True
) -> pa.Table:
    """`columns` (arrays or scalars by name) as a table of the schema `name`; `path` is for complaints.

    Raises StudyError where a value does not fit, naming column and row.
    """
    wanted = like or SCHEMAS[name]
    length = next((len(c) for c in columns.values() if not np.isscalar(c) and c is not None), 1)
    columns = {k: [c] * length if np.isscalar(c) or c is None else c for k, c in columns.items()}
    odd = set(wanted.names) ^ set(columns)
    if odd:
        raise StudyError(f"{path}: columns {sorted(odd)} do not match the schema of {name}")
    try:
        table = pa.table(
            [pa.array(columns[f.name], type=f.type, from_pandas=f.nullable) for f in wanted], schema=wanted
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StudyError(f"{path}: {name}: {error}") from error
    check(table, wanted, path, unique)
    return table


def write(name: str, columns: Mapping[str, Any] | pa.Table, path: str | Path, like: pa.Schema | None = None) -> None:
    """Check `columns` (a table, or arrays or scalars by name) and write them whole to `path`.

    Raises StudyError where a value does not fit, naming column and row.
    """
    if isinstance(columns, pa.Table):
        check(columns, like or SCHEMAS[name], path)
    else:
        columns = checked(name, columns, path, like)
    with whole(path) as beside:
        pq.write_table(columns, beside, compression="zstd", row_group_size=1 << 17)


def read(name: str, path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """The table at `path`, checked against the schema `name`.

    Raises StudyError if the file is missing, truncated, or breaks its schema.
    """
    wanted = SCHEMAS[name]
    table = _load(path, columns)
    if columns:
        wanted = pa.schema([wanted.field(c) for c in columns])
    check(table, wanted, path)
    return table


def read_vectors(path: str | Path) -> tuple[pa.Array, np.ndarray]:
    """ids, and vectors as float16 [n, dimension] without a copy per row. Raises StudyError as `read` does."""
    table = _load(path)
    kind = table.schema.field("vector").type if "vector" in table.column_names else None
    if not isinstance(kind, pa.FixedSizeListType):
        raise StudyError(f"{path}: no fixed-size list column 'vector'; remake it with the encode stage")
    check(table, vectors_schema(kind.list_size), path)
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    vectors = flat.reshape(-1, kind.list_size)
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise StudyError(f"{path}: vector of {table['id'][bad[0]]} (row {bad[0]}) is not finite")
    return table["id"].combine_chunks(), vectors


def write_vectors(ids: pa.Array, vectors: np.ndarray, path: str | Path) -> None:
    """Write [n, dimension] vectors as 16-bit floats. Raises StudyError for a vector that is not finite."""
    dimension = vectors.shape[1]
    half = vectors.astype(np.float16)
    bad = np.flatnonzero(~np.isfinite(half).all(1))
    if len(bad):
        raise StudyError(f"{path}: the encoder gave a vector that is not finite for {ids[bad[0]]}")
    item = pa.field("item", pa.float16(), nullable=False)
    lists = pa.FixedSizeListArray.from_arrays(half.reshape(-1), type=pa.list_(item, dimension))
    like = vectors_schema(dimension)
    write("vectors", pa.table([ids, lists], schema=like), path, like=like)


def check(table: pa.Table, wanted: pa.Schema, path: str | Path, unique: bool = True) -> None:
    """Raise StudyError, naming file, column and row, where `table` breaks `wanted`."""
    if table.schema.names != wanted.names:
        raise StudyError(f"{path}: has columns {table.schema.names}, expected {wanted.names}")
    for field in wanted:
        column = table[field.name]
        if column.type != field.type:
            raise StudyError(f"{path}: column {field.name} is {column.type}, expected {field.type}")
        if not field.nullable and column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise StudyError(f"{path}: column {field.name}, row {row}: a value is missing")
        if pa.types.is_floating(field.type):
            bad = pc.invert(pc.is_finite(column))
            row = pc.index(bad, True).as_py()
            if row >= 0:
                raise StudyError(f"{path}: column {field.name}, row {row}: {column[row]} is not a finite number")
    key = (wanted.metadata or {}).get(b"key", b"").decode().split()
    if unique and key and len(table) and table.num_rows != _distinct(table, key):
        raise StudyError(f"{path}: {_first_duplicate(table, key)} stands twice in {' '.join(key)}")


def _distinct(table: pa.Table, key: list[str]) -> int:
    return len(table.select(key).group_by(key).aggregate([]))


def _first_duplicate(table: pa.Table, key: list[str]) -> str:
    counts = table.select(key).group_by(key).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
    return " ".join(str(twice[k]) for k in key)


def _load(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file; ask Snakemake for it") from None
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise StudyError(f"{path}: not a whole Parquet table ({first}); delete it and run again") from error
