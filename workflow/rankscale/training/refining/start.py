"""The finished run that another one goes on from: read, and compared with what is asked for."""

import numpy as np
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, PUBLISHED
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.checkpoints import load_checkpoint
from rankscale.storage import tables
from rankscale.training.publishing import USED_WITH
from rankscale.training.refining.options import RefineOptions
from rankscale.training.setup import Before

ALIKE = ("model", "seed", *USED_WITH)  # what both runs have in common


def read_start(options: RefineOptions) -> tuple[BiEncoder, float, Before]:
    """The model of the finished run, its inverse temperature, and what its training took.

    Raises StudyError for another model's, one whose scores are no inner products, and one that went on from another.
    """
    path = options.start / PUBLISHED[0]
    model, facts = load_checkpoint(path)
    if type(model) is not BiEncoder:
        raise StudyError(
            f"{path}: is a {model.kind}; dynamic negatives go on from a bi_encoder that was trained as a whole"
        )
    for name in ALIKE:
        if facts[name] != getattr(options, name):
            raise StudyError(
                f"{path}: has {name} {facts[name]}, this run {getattr(options, name)}; its passages stay as they "
                "are, so both must be the same"
            )
    rows = tables.read("checkpoints", options.start / PUBLISHED[-1])
    (row,) = rows.filter(pc.equal(rows["checkpoint"], FINAL)).to_pylist()
    seconds = float(np.sum(tables.read("training_times", options.start / "times.parquet")["seconds"].to_numpy()))
    before = Before(row["train_tokens"], row["train_flops"], seconds, facts["status"] == "finished")
    return model, float(facts["inverse_temperature"]), before
