"""Results of models that were trained elsewhere, one row per model and query: read, and checked first of all."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.layout import BASE
from rankscale.laws.external_table import numbers, read

# What tells rows apart, with the value where the table has no such column (None: it must have it).
KEYS: dict[str, str | int | None] = {
    "collection": "",  # that of the study
    "variant": BASE,
    "model": None,
    "data": None,
    "seed": 0,
    "split": "test",
    "kind": "given",
    "query": None,
}
RUN = ("variant", "model", "data", "seed")
TESTED = ("collection", "split", "kind")
# Of a model, the same in all of its rows; those that may be left out are missing then.
OF_MODEL = ("size", "layers", "hidden", "head_parameters")
OF_RUN = ("flops", "teacher_flops", "tokens", "inverse_temperature")
SCORED, OBSERVED = ("positive", "scores"), ("loss", "above", "tied", "n_candidates")
LEGAL = "letters, digits and . _ + , = - only, as it names a folder"


def read_table(path: Path, study: str) -> pd.DataFrame:
    """The table at `path` with every key column, sorted by them; `scores`, where it has them, float64 arrays.

    Raises StudyError, naming file, column and row, for what cannot be evaluated.
    """
    return checked_table(read(path), path, study)


def checked_table(table: pd.DataFrame, path: Path, study: str) -> pd.DataFrame:
    """A table that `path` gave, as `read_table` gives it."""
    table = table.reset_index(drop=True)
    scored = set(SCORED) <= set(table.columns)
    wanted = [name for name, value in KEYS.items() if value is None] + ["size", *(SCORED if scored else OBSERVED)]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise StudyError(
            f"{path}: lacks {', '.join(missing)}; it needs model, size, data and query, and either positive and scores "
            f"or loss, above, tied and n_candidates; it has {', '.join(map(str, table.columns))}"
        )
    columns = {}
    for name, default in KEYS.items():
        if name not in table:
            columns[name] = pd.Series([default if name != "collection" else study] * len(table))
        elif name in ("data", "seed"):
            columns[name] = pd.Series(_whole(table, name, path, least=1 if name == "data" else 0))
        else:
            columns[name] = _names(table, name, path)
    for name in (*OF_MODEL, *OF_RUN, *(SCORED[:1] if scored else OBSERVED)):
        if name in table:
            columns[name] = pd.Series(numbers(table, name, f"column {name}", path))
    if scored:
        columns["scores"] = _scores(table, path)
    else:
        _refuse_impossible(columns, path)
    checked = pd.DataFrame(columns)
    for name in ("size", "flops", "tokens", "inverse_temperature"):
        if name in checked:
            _refuse_rows(path, name, ~(checked[name] > 0), checked[name], "takes a number above 0")
    _refuse_repeats(checked, path)
    _refuse_mixed(checked, OF_MODEL, ["model"], path)
    _refuse_mixed(checked, OF_RUN, list(RUN), path)
    return checked.sort_values(list(KEYS), kind="stable").reset_index(drop=True)


def _names(table: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """A column of names as text; those that name folders hold nothing that a path could not."""
    column = table[name]
    _refuse_rows(path, name, column.isna().to_numpy(), column, "is empty")
    if column.dtype.kind == "f" and (column == column.round()).all():
        column = column.astype(np.int64)
    column = column.astype(str).str.strip()
    _refuse_rows(path, name, (column == "").to_numpy(), column, "is empty")
    if name in ("model", "variant", "collection"):
        column = column.str.replace("/", "--")  # as the hub's ids have it
        _refuse_rows(path, name, ~column.str.fullmatch(r"[\w+,=-][\w.+,=-]*").to_numpy(bool), column, f"takes {LEGAL}")
    return column


def _whole(table: pd.DataFrame, name: str, path: Path, least: int) -> np.ndarray:
    values = numbers(table, name, f"column {name}", path)
    bad = (values != np.round(values)) | (values < least) | (values > 2**62)
    _refuse_rows(path, name, bad, table[name], f"takes a whole number, {least} or more")
    return values.astype(np.int64)


def _scores(table: pd.DataFrame, path: Path) -> pd.Series:
    """The candidates' scores of each row: a list, or its text as JSON or with blanks or semicolons between."""
    rows: list[np.ndarray] = []
    for row, cell in enumerate(table["scores"].tolist(), 1):
        try:
            if isinstance(cell, str):
                text = cell.strip()
                values = json.loads(text) if text.startswith("[") else text.replace(";", " ").split()
            else:
                values = list(cell)
            scores = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise StudyError(f"{path}: column scores, row {row}: {str(cell)[:60]!r} is no list of numbers") from None
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise StudyError(
                f"{path}: column scores, row {row}: takes one or more finite numbers, a score for each candidate"
            )
        rows.append(scores)
    return pd.Series(rows, dtype=object)


def _refuse_impossible(columns: dict[str, pd.Series], path: Path) -> None:
    """Raise StudyError for losses and ranks that no scores could give."""
    for name in OBSERVED[1:]:
        bad = (columns[name] != columns[name].round()) | (columns[name] < (1 if name == "n_candidates" else 0))
        _refuse_rows(path, name, bad.to_numpy(), columns[name], "takes a whole number, and no negative one")
    _refuse_rows(path, "loss", (columns["loss"] < 0).to_numpy(), columns["loss"], "a cross-entropy is 0 or more")
    over = (columns["above"] + columns["tied"] > columns["n_candidates"]).to_numpy()
    _refuse_rows(path, "above", over, columns["above"], "with those tied these are more than n_candidates")


def _refuse_rows(path: Path, name: str, bad: np.ndarray, column: pd.Series, why: str) -> None:
    bad = np.asarray(bad, bool)
    if bad.any():
        row = int(bad.argmax())
        raise StudyError(f"{path}: column {name}, row {row + 1}: {str(column.iloc[row])!r}: {why}")


def _refuse_repeats(table: pd.DataFrame, path: Path) -> None:
    """Raise StudyError for a query that a model answers twice."""
    twice = table.duplicated(list(KEYS)).to_numpy()
    if twice.any():
        row = int(twice.argmax())
        first = int((table[list(KEYS)] == table.loc[row, list(KEYS)]).all(axis=1).to_numpy().argmax())
        named = ", ".join(f"{name} {table.at[row, name]}" for name in ("model", "data", "seed", "query"))
        raise StudyError(f"{path}: row {row + 1} repeats row {first + 1}: {named}; leave one out")


def _refuse_mixed(table: pd.DataFrame, names: tuple[str, ...], keys: list[str], path: Path) -> None:
    """Raise StudyError where one model, or run, has two values of what it can have one of."""
    for name in names:
        if name not in table:
            continue
        values = table.groupby(keys)[name].nunique(dropna=False)
        if (values > 1).any():
            key = values.index[(values > 1).to_numpy().argmax()]
            rows = table[(table[keys] == (key if isinstance(key, tuple) else [key])).all(axis=1)]
            several = ", ".join(f"{value:g}" for value in rows[name].unique()[:3])
            said = "/".join(map(str, key)) if isinstance(key, tuple) else key
            raise StudyError(f"{path}: column {name}: {said} has several values: {several}; give it one")
