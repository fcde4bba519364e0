"""Which trainings go first: the longest, so that at the end no core waits for one of them."""

from typing import Any

from rankscale.core.layout import RunId
from rankscale.study import grid
from rankscale.study.costs.model_shapes import bert_layer_parameters, shape

BEYOND = 2  # times the largest subset whose size is given: what the whole collection counts as


def training_priorities(study: dict[str, Any]) -> dict[RunId, float]:
    """The priority of each run's training, larger for more work, above 0 and below 1: what evaluations have.

    Work is parameters times queries, of which the whole collection's number is not known here. A model whose size
    cannot be told counts as the largest of those that can.
    """
    shapes = {model["name"]: shape(model) for model in study["models"]}
    parameters = {name: bert_layer_parameters(*known) for name, known in shapes.items() if known}
    largest = max(parameters.values(), default=1)
    subsets = {size: grid.subset_name(size) for size in study["training"]["train_queries"]}
    known_sizes = [size for size in subsets if size]
    queries = {name: size or BEYOND * max(known_sizes, default=1) for size, name in subsets.items()}
    runs = list(grid.runs(study))
    order = sorted(runs, key=lambda run: parameters.get(run.model, largest) * queries[run.subset])
    return {run: (i + 1) / (len(order) + 1) for i, run in enumerate(order)}
