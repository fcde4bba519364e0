"""What a study's runs logged and measured, as numbers by step: all that a tracker shows of them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rankscale.core.layout import EVALUATED, RunId
from rankscale.core.metrics import metrics_of
from rankscale.follow.training_runs import log_so_far
from rankscale.storage import tables

CURVES = ("loss", "gradient_norm", "learning_rate", "inverse_temperature")
METRICS = [metric.name for source in ("candidates", "retrieval") for metric in metrics_of(source)]


class Point(NamedTuple):
    """A number of a run at one of its steps."""

    name: str
    step: int
    value: float


def training_points(study: Path, run: RunId, after: int = 0) -> Iterator[Point]:
    """The log of a run from the step behind `after` on: of a finished one all, else up to its newest state."""
    path = study / f"models/{run}/training.parquet"
    if path.exists():
        columns = tables.read("training", path, ["step", *CURVES]).to_pydict()
    else:
        recorded = log_so_far(study, run)
        columns = {} if recorded is None else {name: recorded[name].tolist() for name in ("step", *CURVES)}
    for position, step in enumerate(columns.get("step", [])):
        if step > after:
            for name in CURVES:
                value = columns[name][position]
                if value is not None and math.isfinite(value):
                    yield Point(f"train/{name}", int(step), float(value))


def metric_points(study: Path, run: RunId, known: set[str]) -> Iterator[tuple[str, list[Point]]]:
    """The metrics of each checkpoint of a run that is not `known` yet, with a name for the checkpoint."""
    assert "scores" in EVALUATED
    for path in sorted(study.glob(f"scores/*/{run}/*.parquet")):
        name = str(path.relative_to(study / "scores"))
        if name in known:
            continue
        points = []
        for row in tables.read("scores", path).to_pylist():
            where = f"{row['collection']}/{row['split']}/{row['candidates']}"
            values = {metric: row.get(metric) for metric in METRICS}
            points += [Point(f"{where}/{m}", row["step"], float(v)) for m, v in values.items() if v is not None]
        yield name, points
