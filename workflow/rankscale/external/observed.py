"""Rows of results made elsewhere as the tables of a study: observations of each run, and the metrics."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, RunId, table_path
from rankscale.evaluation.observations import calibration_columns, observe
from rankscale.evaluation.scoring import score_observations
from rankscale.external.query_table import RUN, TESTED
from rankscale.storage import schemas, tables
from rankscale.storage.external_schemas import OF_SCORES, RELAXED

# Columns of the metrics table from those of the given one, where it has them.
TRAINED = {
    "encoder_parameters": "size",
    "head_parameters": "head_parameters",
    "layers": "layers",
    "hidden": "hidden",
    "train_tokens": "tokens",
    "train_flops": "flops",
    "teacher_flops": "teacher_flops",
}


def write_study(table: pd.DataFrame, study: str, folder: Path, ties: str, correction: str) -> pa.Table:
    """Write the observations of every run of the table below `folder`, and `metrics.parquet`, which it gives back.

    Raises StudyError where runs are no ladder, or were not asked the same queries.
    """
    refuse_no_ladder(table)
    refuse_other_queries(table)
    rows: list[dict[str, Any]] = []
    for key, of_run in table.groupby(list(RUN), sort=False):
        run = RunId(key[0], key[1], str(key[2]), int(key[3]))
        for collection, part in of_run.groupby("collection", sort=False):
            observations = pa.concat_tables(_observations(run, str(collection), part))
            path = table_path(folder, "observations", str(collection), run, FINAL)
            tables.write("observations", observations, path, RELAXED["observations"])
            facts: dict[str, Any] = {"study": study, "subset": run.subset, "checkpoint": FINAL, "status": "finished"}
            facts |= {name: _whole(name, part[given].iloc[0]) for name, given in TRAINED.items() if given in part}
            unknown = dict.fromkeys(schemas.SCHEMAS["metrics"].names)
            searched = {"retrieval": "none"}
            scores = score_observations(observations, ties, correction)
            rows += [{**unknown, **facts, **searched, **row} for row in scores]
    metrics = pa.Table.from_pylist(rows, schema=RELAXED["metrics"])
    tables.write("metrics", metrics, folder / "metrics.parquet", RELAXED["metrics"], study)
    empty = schemas.SCHEMAS["left_out"].empty_table()
    tables.write("left_out", empty, folder / "left_out.parquet", study=study)
    return metrics


def _whole(name: str, value: float) -> float | int:
    return value if name.endswith("_flops") else round(value)


def _observations(run: RunId, collection: str, part: pd.DataFrame) -> Iterator[pa.Table]:
    """The observations of a run on a collection, a table for each test set and kind of candidates."""
    keys: dict[str, Any] = {"collection": collection, "variant": run.variant, "model": run.model}
    keys |= {"train_queries": int(run.subset), "seed": run.seed, "step": 0}
    for (split, kind), rows in part.groupby(["split", "kind"], sort=False):
        columns: dict[str, Any] = {**keys, "split": [split] * len(rows), "query_id": rows["query"].tolist()}
        columns["candidates"] = kind
        if "scores" in rows:
            columns |= _from_scores(rows, f"{run}: {split}", str(kind))
        else:
            columns |= {name: rows[name].astype(np.int32).to_numpy() for name in ("n_candidates", "above", "tied")}
            columns |= {"loss": rows["loss"].to_numpy(), **dict.fromkeys((*OF_SCORES, *schemas.CALIBRATION.split()))}
        yield tables.checked("observations", columns, f"{run} on {split}", RELAXED["observations"])


def _from_scores(rows: pd.DataFrame, where: str, kind: str) -> dict[str, Any]:
    widths = rows["scores"].map(len)
    if widths.nunique() > 1:
        row = rows.iloc[int((widths != widths.iloc[0]).to_numpy().argmax())]
        raise StudyError(
            f"{where}: query {row['query']} has {len(row['scores'])} candidates, others have {widths.iloc[0]}; score "
            "as many for each query"
        )
    scores = np.column_stack([rows["positive"].to_numpy(), np.stack(rows["scores"].tolist())])
    factor = float(rows["inverse_temperature"].iloc[0]) if "inverse_temperature" in rows else 1.0
    loss, above, tied, margin = observe(scores, factor)
    width = np.full(len(rows), widths.iloc[0], np.int32)
    values = {"n_candidates": width, "loss": loss, "above": above, "tied": tied, "margin": margin}
    splits, queries = rows["split"].to_numpy(object), rows["query"].to_numpy(object)
    try:
        return {**values, **calibration_columns(scores, splits, queries, kind)}
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None


def refuse_no_ladder(table: pd.DataFrame) -> None:
    """Raise StudyError unless there are several sizes, or several numbers of training data."""
    if table["size"].nunique() < 2 and table["data"].nunique() < 2:
        raise StudyError(
            f"all models have size {table['size'].iloc[0]:g} and {table['data'].iloc[0]} training data: there is "
            "nothing to fit a law over; give models of several sizes, or trained on several amounts of data"
        )
    if table["variant"].nunique() > 1:
        lacking = [name for name in ("flops", "teacher_flops") if name not in table]
        if lacking:
            raise StudyError(
                f"variants are compared by what they cost: give {' and '.join(lacking)} too "
                "(teacher_flops is 0 without a teacher), or one variant"
            )


def refuse_other_queries(table: pd.DataFrame) -> None:
    """Raise StudyError unless all runs have the same queries of a test set and kind, and as many candidates."""
    for where, part in table.groupby(list(TESTED), sort=False):
        asked = {run: set(rows["query"]) for run, rows in part.groupby(list(RUN), sort=False)}
        first, expected = next(iter(asked.items()))
        for run, queries in asked.items():
            if queries != expected:
                query = sorted(queries ^ expected)[0]
                has, lacks = ("/".join(map(str, key)) for key in ((first, run) if query in expected else (run, first)))
                raise StudyError(
                    f"{lacks} lacks query {query} of {where[1]}, which {has} has; all models must answer the "
                    "same queries, as differences between models are paired by query"
                )
        if "n_candidates" in part and part["n_candidates"].nunique() > 1:
            raise StudyError(f"{where[1]}: n_candidates differs between rows; score as many for each query")
    runs = set(map(tuple, table[list(RUN)].drop_duplicates().to_numpy().tolist()))
    for where, part in table.groupby(list(TESTED), sort=False):
        lacking = runs - set(map(tuple, part[list(RUN)].drop_duplicates().to_numpy().tolist()))
        if lacking:
            raise StudyError(f"{'/'.join(map(str, min(lacking)))} has no rows of {'/'.join(map(str, where))}")
