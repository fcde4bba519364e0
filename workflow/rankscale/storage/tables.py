"""The only way a table is written and read: whole or not at all, and checked both ways.

A violation of its schema names the file, the column and the row. Keys are compared with what the path promises and the
reader asked for, and the number of rows with what the file says of it.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale.core.atomic_files import whole
from rankscale.core.errors import StudyError, refuse_unreadable
from rankscale.storage.external_schemas import schema_of
from rankscale.storage.identity import STUDY, columns_apart, refuse_other_keys, refuse_unpromised
from rankscale.storage.schemas import SCHEMAS

# Rows whose keys are counted without pyarrow.acero and pyarrow.dataset, whose import takes a third of a second.
FEW = 1 << 15
NO_KEYS: Mapping[str, Any] = {}
ORIGIN = "origin"  # an entry of a file's metadata


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


def write(
    name: str,
    columns: Mapping[str, Any] | pa.Table,
    path: str | Path,
    like: pa.Schema | None = None,
    study: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Check `columns` (a table, or arrays or scalars by name) and write them whole to `path`.

    `study` is kept with what is made of all its runs together, `origin` (see storage.origins) with what must fit to
    other tables. Raises StudyError where a value does not fit, naming column and row, and where the path is another's.
    """
    if isinstance(columns, pa.Table):
        table = columns
        check(table, like or SCHEMAS[name], path)
    else:
        table = checked(name, columns, path, like)
    refuse_unpromised(path, table)
    kept = {} if study is None else {STUDY: study}
    table = table.replace_schema_metadata({**(with_origin(table.schema, origin).metadata or {}), **kept})
    with whole(path) as beside:
        pq.write_table(table, beside, compression="zstd", row_group_size=1 << 17, write_page_checksum=True)


def read(
    name: str,
    path: str | Path,
    columns: list[str] | None = None,
    keys: Mapping[str, Any] = NO_KEYS,
    like: pa.Schema | None = None,
) -> pa.Table:
    """The table at `path`, checked against the schema `name`, its keys against `keys` and what the path promises.

    Raises StudyError if the file is missing, truncated, breaks its schema, or is another's.
    """
    # Not pq.read_table, which imports pyarrow.dataset.
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        refuse_other_keys(path, file, keys)
        table = file.read(columns=columns)
        _refuse_lost_rows(path, file.metadata, len(table))
    wanted = like or schema_of(name, table.schema)
    check(table, pa.schema([wanted.field(c) for c in columns]) if columns else wanted, path)
    return table


def read_study(paths: Mapping[str, str | Path], study: str | None = None) -> dict[str, pa.Table]:
    """The tables at `paths`, by name, of one study: that of its `metrics`, which is `study` if that is given.

    Raises StudyError as `read` does, and for a table of another study.
    """
    keys = {} if study is None else {STUDY: study}
    metrics = read("metrics", paths["metrics"], keys=keys)
    if len(metrics):
        keys = {STUDY: metrics[STUDY][0].as_py()}
    return {name: metrics if name == "metrics" else read(name, path, keys=keys) for name, path in paths.items()}


def scan(
    name: str,
    path: str | Path,
    columns: list[str] | None = None,
    rows: tuple[int, int] | None = None,
    like: pa.Schema | None = None,
    keys: Mapping[str, Any] = NO_KEYS,
) -> Iterator[pa.Table]:
    """The table at `path` (or its `rows` from, to) in parts of a row group each, so that memory does not grow with it.

    Checked as `read` does, but for keys that stand twice: those were refused when the table was written.
    """
    wanted = like or SCHEMAS[name]
    if columns:
        wanted = pa.schema([wanted.field(c) for c in columns])
    start, first = 0, rows[0] if rows else 0
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        refuse_other_keys(path, file, keys)
        _refuse_lost_rows(path, file.metadata)
        last = rows[1] if rows else file.metadata.num_rows
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if start < last and end > first:
                part = file.read_row_group(group, columns=columns)
                _refuse_lost_rows(path, file.metadata, len(part), group)
                check(part, wanted, path, unique=False, start=start)
                yield part.slice(max(first - start, 0), min(last, end) - max(first, start))
            start = end


def count(path: str | Path) -> int:
    """How many rows the table at `path` has, from its footer. Raises StudyError as `read` does."""
    with reading(path):
        metadata = pq.read_metadata(path)
        _refuse_lost_rows(path, metadata)
    return metadata.num_rows


def _refuse_lost_rows(
    path: str | Path, metadata: pq.FileMetaData, length: int | None = None, group: int | None = None
) -> None:
    """Raise StudyError unless a file's parts have as many rows as the whole, and `length` were read of it or a part.

    No page's checksum covers the footer: one bit of it, and rows are passed over.
    """
    parts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    expected = metadata.num_rows if group is None else parts[group]
    if sum(parts) != metadata.num_rows or (length is not None and length != expected):
        readable = sum(parts) if length is None else length
        raise StudyError(f"{path}: {readable} of {expected} rows can be read: it is damaged; delete it and run again")


def with_origin(wanted: pa.Schema, origin: Mapping[str, Any] | None) -> pa.Schema:
    """The schema of a file that keeps its `origin`; without one the same."""
    kept = {**(wanted.metadata or {}), ORIGIN: json.dumps(origin, sort_keys=True)}
    return wanted.with_metadata(kept) if origin else wanted


@contextlib.contextmanager
def writer(name: str, path: str | Path, like: pa.Schema | None = None, **how: Any) -> Iterator[Callable]:
    """A function that checks and appends columns or a table; the file appears whole when the block ends well.

    Keys that stand twice are the caller's to refuse. `how` goes to `pyarrow.parquet.ParquetWriter`.
    """
    wanted = like or SCHEMAS[name]
    with (
        whole(path) as beside,
        pq.ParquetWriter(beside, wanted, **{"compression": "zstd", "write_page_checksum": True, **how}) as out,
    ):

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
        raise StudyError(f"{path}: {columns_apart(table.schema.names, wanted.names)}")
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
                problem = f"{column[row]} is not a finite number"
                raise StudyError(f"{path}: column {field.name}, row {row + start}: {problem}")
    key = (wanted.metadata or {}).get(b"key", b"").decode().split()
    if unique and key and len(table) and table.num_rows != _distinct(table, key):
        raise StudyError(f"{path}: {_first_duplicate(table, key)} stands twice in {' '.join(key)}")


def _distinct(table: pa.Table, key: list[str]) -> int:
    if len(table) < FEW:
        return len(set(zip(*(table[name].to_pylist() for name in key), strict=True)))
    # Each row's keys as one number: sorting these takes a third of the time of grouping rows of strings.
    code, size = np.zeros(len(table), np.int64), 1
    for name in key:
        column = pc.dictionary_encode(table[name].combine_chunks())
        size *= len(column.dictionary) or 1
        if size > np.iinfo(np.int64).max:
            return len(table.select(key).group_by(key).aggregate([]))
        code = code * len(column.dictionary) + column.indices.to_numpy(zero_copy_only=False)
    code.sort()
    return 1 + int(np.count_nonzero(np.diff(code)))


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
    except (pa.ArrowException, MemoryError, OverflowError, UnicodeDecodeError, OSError) as error:
        refuse_unreadable(path)
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StudyError(f"{path}: not a whole Parquet table ({first}); delete it and run again") from error
