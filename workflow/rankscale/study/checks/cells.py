"""What is checked of a config's grid: its cells, and the snapshots of its runs.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from typing import Any

from rankscale.core.errors import StudyError
from rankscale.core.metric import COMPLEMENT
from rankscale.core.metrics import METRICS
from rankscale.study import grid, variants


def refuse_cells(study: dict[str, Any]) -> None:
    """Raise StudyError for a cell of no model or no subset, and for a model or a subset without a run."""
    training, models = study["training"], [model["name"] for model in study["models"]]
    for number, block in enumerate(training["cells"] or []):
        named = {"models": (models, "models"), "train_queries": (training["train_queries"], "training.train_queries")}
        for key, (known, where) in named.items():
            unknown = [] if block[key] == "every" else [value for value in block[key] if value not in known]
            if unknown:
                name = "null" if unknown[0] is None else unknown[0]
                raise StudyError(f"training.cells.{number}.{key}: {name} is none of {where}")
    cells = grid.cells(study)
    for model in models:
        if model not in {name for name, _ in cells}:
            raise StudyError(f"training.cells: no cell has model {model}; give it one, or take it out of models")
    for size in training["train_queries"]:
        if size not in {size for _, size in cells}:
            raise StudyError(
                f"training.cells: no cell has {grid.subset_name(size)} training queries; give them one, or take them "
                "out of training.train_queries"
            )


def refuse_snapshots(study: dict[str, Any]) -> None:
    """Raise StudyError for snapshots of runs that there are not, or that are not before the end of theirs."""
    training, snapshots = study["training"], study["training"]["snapshots"]
    for size in grid.snapshot_sizes(training) if snapshots["models"] else []:
        if size not in training["train_queries"]:
            raise StudyError(f"training.snapshots.train_queries: {size} is none of training.train_queries")
        end = training["steps"] or (size and size // training["batch_size"] * training["epochs"])
        late = [s for s in snapshots["steps"] if end and s >= end]
        if late:
            on = grid.subset_name(size)
            raise StudyError(
                f"training.snapshots.steps: {late[0]} is not before the end of the run on {on} queries, step {end}"
            )
    looked_at = {run.model for run in grid.snapshots(study)}
    missing = [model for model in snapshots["models"] if snapshots["steps"] and model not in looked_at]
    if missing:
        on = ", ".join(map(grid.subset_name, grid.snapshot_sizes(training)))
        raise StudyError(f"training.snapshots.models: {missing[0]} is not trained on {on} queries (training.cells)")


def refuse_unmeasured_plan(study: dict[str, Any]) -> None:
    """Raise StudyError where the plan is to go by a metric that some runs do not have, or by a variant that is none."""
    named = study["plan"] and study["plan"]["variant"]
    if named and named not in variants.names(study):
        raise StudyError(f"plan.variant: {named} is none of variants; they are {', '.join(variants.names(study))}")
    metric = METRICS.get(study["plan"]["metric"].removeprefix(COMPLEMENT)) if study["plan"] else None
    if metric and metric.source == "retrieval" and len(grid.searching(study)) < len(list(grid.runs(study))):
        raise StudyError(
            f"plan.metric: {study['plan']['metric']} is not measured of every run (evaluation.full_retrieval)"
        )
