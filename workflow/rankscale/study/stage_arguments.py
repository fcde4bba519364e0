"""What each stage is told: exactly the part of the config that it uses, as values of its options.

Read by the Snakefile: nothing heavy is imported here.
"""

import dataclasses
import json
from typing import Any

from rankscale.training.options import TrainOptions

# The keys of the config's `training` that span the grid of runs and choose what is kept of it. The rule says them run
# by run (train_queries, seeds, snapshots) or uses them itself (keep).
GRID_KEYS = {"train_queries", "seeds", "snapshots", "keep"}


def training_options(study: dict[str, Any], model_name: str) -> dict[str, Any]:
    """The options of `train` for one model of the ladder, but for those of the single run: its name, subset and seed.

    A key of the model or of `training` is passed on because the stage has an option of that name; no list of them is
    kept here.
    """
    fields = {field.name for field in dataclasses.fields(TrainOptions)}
    model = next(model for model in study["models"] if model["name"] == model_name)
    training = {key: value for key, value in study["training"].items() if key not in GRID_KEYS}
    rate = training["learning_rate"]
    loss = {key: value for key, value in training["objective"].items() if key != "name"}
    return {
        **{key: value for key, value in model.items() if key in fields},
        **training,
        "learning_rate": rate[model_name] if isinstance(rate, dict) else rate,
        "objective": training["objective"]["name"],
        "objective_parameters": json.dumps(loss, sort_keys=True) if loss else None,
        "split": study["collection"]["splits"]["train"],
        "threads": study["machine"]["threads"],
    }
