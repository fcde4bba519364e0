"""Runs that were made elsewhere, as the laws take them: any CSV or Parquet table."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rankscale.core.errors import StudyError


def read(path: Path) -> pd.DataFrame:
    """The table at `path`. Raises StudyError if it is none, or empty."""
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path, partitioning=None).to_pandas()
        else:
            _refuse_columns(path)
            table = pd.read_csv(path, encoding="utf-8-sig", skipinitialspace=True)
    except StudyError:
        raise
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
        raise StudyError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as a Parquet table ({str(error).splitlines()[0]})") from None
    if table.empty:
        raise StudyError(f"{path}: holds no rows")
    return table


def _refuse_columns(path: Path) -> None:
    """Raise StudyError where a name stands twice, or rows have more cells than the header has names.

    pandas would take the first of these for an index and shift all names by one. That is right of one kind of table:
    R writes the names of rows, quoted or as 1, 2, 3..., before cells that have a name each.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, skipinitialspace=True) if row)
        header = next(rows, [])
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise StudyError(f"{path}: column {twice[0]} stands twice")
        cells = list(rows)
        longer = [(number, row) for number, row in enumerate(cells, 1) if len(row) > len(header)]
        names = [row[0] for _, row in longer]
    is_written_by_r = (
        len(longer) == len(cells)
        and all(len(row) == len(header) + 1 and row[-1].strip() for _, row in longer)
        and (names == [str(number) for number, _ in longer] or not any(_is_number(name) for name in names))
    )
    if longer and not is_written_by_r:
        number, row = longer[0]
        raise StudyError(
            f"{path}: row {number} has {len(row)} cells, the header {len(header)}"
            + ("; take away the comma at the ends of rows" if not row[-1].strip() else "")
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def numbers(table: pd.DataFrame, column: str, option: str, path: Path) -> np.ndarray:
    """A column as float64 [n]. Raises StudyError where it is missing or a value is no finite number."""
    if column not in table:
        raise StudyError(f"{path}: {option}: there is no column {column}; it has {', '.join(map(str, table.columns))}")
    cells = table[column]
    if pd.api.types.is_bool_dtype(cells) or not (pd.api.types.is_numeric_dtype(cells) or cells.dtype.kind in "OUT"):
        raise StudyError(f"{path}: {option}: column {column} holds {cells.dtype}, not numbers")
    if not pd.api.types.is_numeric_dtype(cells):
        cells = cells.astype(str)  # pandas keeps whole numbers beyond 64 bits as Python's, which no float may hold
    values = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.argmax())
        raise StudyError(
            f"{path}: column {column}, row {row + 1}: {str(table[column].iloc[row])!r} is no finite number"
        )
    return values


def refuse_repeats(table: pd.DataFrame, x: np.ndarray, path: Path) -> None:
    """Raise StudyError for a cell that stands twice, unless a column `seed` tells its runs apart."""
    seeds = table["seed"] if "seed" in table else pd.Series(np.zeros(len(table)))
    if seeds.isna().any():
        raise StudyError(f"{path}: column seed, row {int(seeds.isna().to_numpy().argmax()) + 1}: is empty")
    first: dict[tuple, int] = {}
    for row, key in enumerate((*cell, seed) for cell, seed in zip(x.tolist(), seeds.tolist(), strict=True)):
        if key in first:
            raise StudyError(
                f"{path}: row {row + 1} repeats the cell of row {first[key] + 1}; leave one out, or tell runs of one "
                "cell apart by a column named seed"
            )
        first[key] = row
