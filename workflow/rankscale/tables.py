"""Every table that passes between stages: its Arrow schema, and the only way it is written and read.

A `row` column holds 0-based positions in the collection's `documents.parquet`; ids are the collection's own
strings. Tables are checked both ways, and a violation names the file, the column and the row.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
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
    "retrieval": text,
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
    "queries": schema("query_id", query_id=text, text=text),
    "qrels": schema("split query_id doc_id", split=text, query_id=text, doc_id=text, row=i32, grade=i32, positive=flag),
    "tokens": schema("id", id=text, ids=pa.list_(pa.field("item", i32, nullable=False))),
    "negatives": schema("query_id", query_id=text, rows=pa.list_(i32), scores=pa.list_(f32), mined=i32),
    "pool": schema("row", row=i32),
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
    odd = set(wanted.names) ^ set(columns)
    if odd:
        raise StudyError(f"{path}: columns {sorted(odd)} do not match the schema of {name}")
    try:
        table = pa.table([_column(columns[field.name], field, length) for field in wanted], schema=wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StudyError(f"{path}: {name}: {error}") from error
    check(table, wanted, path, unique)
    return table


def _column(values: Any, field: pa.Field, length: int) -> pa.Array | pa.ChunkedArray:
    if np.isscalar(values) or values is None:
        return pa.repeat(pa.scalar(values, field.type), length)
    if isinstance(values, pa.ChunkedArray):
        return values.cast(field.type)
    return pa.array(values, type=field.type, from_pandas=field.nullable)


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
    with reading(path):
        table = pq.read_table(path, columns=columns, partitioning=None)
    if columns:
        wanted = pa.schema([wanted.field(c) for c in columns])
    check(table, wanted, path)
    return table


def scan(
    name: str,
    path: str | Path,
    columns: list[str] | None = None,
    rows: tuple[int, int] | None = None,
    like: pa.Schema | None = None,
) -> Iterator[pa.Table]:
    """The table at `path` (or its `rows` from, to) in parts of a row group each, so that memory does not grow with it.

    Checked as `read` does, but for keys that stand twice: those were refused when the table was written.
    """
    wanted = like or SCHEMAS[name]
    if columns:
        wanted = pa.schema([wanted.field(c) for c in columns])
    start, first = 0, rows[0] if rows else 0
    with reading(path), pq.ParquetFile(path) as file:
        last = rows[1] if rows else file.metadata.num_rows
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if start < last and end > first:
                part = file.read_row_group(group, columns=columns)
                check(part, wanted, path, unique=False, start=start)
                yield part.slice(max(first - start, 0), min(last, end) - max(first, start))
            start = end


def count(path: str | Path) -> int:
    """How many rows the table at `path` has, from its footer. Raises StudyError as `read` does."""
    with reading(path):
        return pq.read_metadata(path).num_rows


@contextlib.contextmanager
def writer(name: str, path: str | Path, like: pa.Schema | None = None, **how: Any) -> Iterator[Callable]:
    """A function that checks and appends columns or a table; the file appears whole when the block ends well.

    Keys that stand twice are the caller's to refuse. `how` goes to `pyarrow.parquet.ParquetWriter`.
    """
    wanted = like or SCHEMAS[name]
    with whole(path) as beside, pq.ParquetWriter(beside, wanted, **{"compression": "zstd", **how}) as out:

        def append(columns: Mapping[str, Any] | pa.Table) -> None:
            if isinstance(columns, pa.Table):
                check(columns, wanted, path, unique=False)
            else:
                columns = checked(name, columns, path, wanted, unique=False)
            out.write_table(columns)

        yield append


def check(table: pa.Table, wanted: pa.Schema, path: str | Path, unique: bool = True, start: int = 0) -> None:
    """Raise StudyError, naming file, column and row (counted from `start`), where `table` breaks `wanted`."""
    if table.schema.names != wanted.names:
        raise StudyError(f"{path}: has columns {table.schema.names}, expected {wanted.names}")
    for field in wanted:
        column = table[field.name]
        if column.type != field.type:
            raise StudyError(f"{path}: column {field.name} is {column.type}, expected {field.type}")
        if not field.nullable and column.null_count:
            row = pc.index(pc.is_null(column), True).as_py() + start
            raise StudyError(f"{path}: column {field.name}, row {row}: a value is missing")
        if pa.types.is_floating(field.type):
            bad = pc.invert(pc.is_finite(column))
            row = pc.index(bad, True).as_py()
            if row >= 0:
                said = f"{column[row]} is not a finite number"
                raise StudyError(f"{path}: column {field.name}, row {row + start}: {said}")
    key = (wanted.metadata or {}).get(b"key", b"").decode().split()
    if unique and key and len(table) and table.num_rows != _distinct(table, key):
        raise StudyError(f"{path}: {_first_duplicate(table, key)} stands twice in {' '.join(key)}")


def _distinct(table: pa.Table, key: list[str]) -> int:
    return len(table.select(key).group_by(key).aggregate([]))


def _first_duplicate(table: pa.Table, key: list[str]) -> str:
    counts = table.select(key).group_by(key).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
    return " ".join(str(twice[k]) for k in key)


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Say in one line, with the file's name, why a Parquet file cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file; ask Snakemake for it") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        first = str(error).splitlines()[0]
        raise StudyError(f"{path}: not a whole Parquet table ({first}); delete it and run again") from error
