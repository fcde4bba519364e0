"""Whose a table is: its keys, and the study it is of, are compared with what was asked for.

A table of the right form under the wrong name would be used without a word: two files exchanged, a folder copied.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale.core.errors import StudyError
from rankscale.core.layout import promised_keys

STUDY = "study"  # a column of metrics; of what is made from them an entry of the file's metadata
ADVICE = "the file was exchanged or copied; delete it and run again"


def add_study_name(arguments: argparse.ArgumentParser) -> None:
    """The option of a stage that reads the tables of one study."""
    arguments.add_argument("--study-name", help="tables of any other study are refused")


def refuse_other_keys(path: str | Path, file: pq.ParquetFile, keys: Mapping[str, Any]) -> None:
    """Raise StudyError unless `file` holds these values alone in those of its columns that `keys` names.

    What the path promises is compared too. A study that no column names is compared where the file's metadata name it.
    Told by the statistics of the row groups: no column is read that has them.
    """
    wanted = {**promised_keys(path), **keys}
    if STUDY not in keys:
        wanted.pop(STUDY, None)  # a study's folder may be moved
    columns = file.schema_arrow.names
    recorded = (file.schema_arrow.metadata or {}).get(STUDY.encode())
    for key, value in wanted.items():
        if key in columns:
            for other in _values(file, key):
                _refuse_unequal(path, key, other, value)
        elif key == STUDY and recorded is not None:
            _refuse_unequal(path, key, recorded.decode(), value)


def refuse_unpromised(path: str | Path, table: pa.Table) -> None:
    """Raise StudyError for a table that is about to be written where the path promises other keys."""
    for key, value in promised_keys(path).items():
        if key in table.column_names:
            for other in pc.unique(table[key]).to_pylist():
                _refuse_unequal(path, key, other, value)


def refuse_other_facts(path: str | Path, facts: Mapping[str, Any]) -> None:
    """Raise StudyError for a checkpoint whose `facts` are not those that its path promises."""
    for key, value in promised_keys(path).items():
        if key in facts:
            _refuse_unequal(path, key, facts[key], value)


def refuse_other_studies(paths: Iterable[str | Path], study: str) -> None:
    """Raise StudyError for a file of a run or checkpoint that lies in the folder of another study than `study`."""
    for path in paths:
        other = promised_keys(path).get(STUDY, study)
        if other != study:
            raise StudyError(f"{path}: is of study {other}, where {study} is asked for; name that study's own files")


def _refuse_unequal(path: str | Path, key: str, value: Any, wanted: Any) -> None:
    if value != wanted:
        raise StudyError(f"{path}: {key} is {value}, where {wanted} is asked for; {ADVICE}")


def _values(file: pq.ParquetFile, column: str) -> set[Any]:
    """The least and the greatest value of a column, of each row group."""
    metadata = file.metadata
    index = next(i for i in range(len(metadata.schema)) if metadata.schema.column(i).path == column)
    values: set[Any] = set()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        statistics = group.column(index).statistics if group.num_rows else None
        if statistics is not None and statistics.has_min_max:
            values |= {statistics.min, statistics.max}
        elif group.num_rows:
            values |= set(pc.unique(file.read_row_group(number, columns=[column])[column]).to_pylist())
    return values


def columns_apart(names: list[str], wanted: list[str]) -> str:
    """How a table's columns differ from those that it should have: as another version, or another program, wrote it."""
    lacking = [name for name in wanted if name not in names]
    unknown = [name for name in names if name not in wanted]
    parts = [f"lacks the columns {', '.join(lacking)}"] if lacking else []
    parts += [f"has the unknown columns {', '.join(unknown)}"] if unknown else []
    return " and ".join(parts) or f"has columns in another order than {', '.join(wanted)}"
