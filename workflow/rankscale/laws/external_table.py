"""Runs that were made elsewhere, as the laws take them: any CSV or Parquet table."""

import csv
import io
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
            found = pq.read_table(path, partitioning=None).to_pandas()
        else:
            found = pd.read_csv(path, encoding="utf-8-sig", skipinitialspace=True)
            first = next(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
            twice = sorted({name for name in first if first.count(name) > 1})
            if twice:
                raise StudyError(f"{path}: column {twice[0]} stands twice")
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, IsADirectoryError) as error:
        raise StudyError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as a Parquet table ({str(error).splitlines()[0]})") from None
    if found.empty:
        raise StudyError(f"{path}: holds no rows")
    return found


def numbers(found: pd.DataFrame, column: str, option: str, path: Path) -> np.ndarray:
    """A column as float64 [n]. Raises StudyError where it is missing or a value is no finite number."""
    if column not in found:
        raise StudyError(f"{path}: {option}: there is no column {column}; it has {', '.join(map(str, found.columns))}")
    given = found[column]
    if pd.api.types.is_bool_dtype(given) or not (pd.api.types.is_numeric_dtype(given) or given.dtype.kind in "OUT"):
        raise StudyError(f"{path}: {option}: column {column} holds {given.dtype}, not numbers")
    values = pd.to_numeric(given, errors="coerce").to_numpy(float)
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(bad.argmax())
        raise StudyError(f"{path}: column {column}, row {at + 1}: {str(found[column].iloc[at])!r} is no finite number")
    return values


def refuse_repeats(found: pd.DataFrame, x: np.ndarray, path: Path) -> None:
    """Raise StudyError for a cell that stands twice, unless a column `seed` tells its runs apart."""
    seeds = found["seed"] if "seed" in found else pd.Series(np.zeros(len(found)))
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
