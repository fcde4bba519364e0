"""A run of no training: the model as it is, published as one that was trained is."""

from dataclasses import replace
from typing import Any

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, PUBLISHED
from rankscale.core.options import result_settings
from rankscale.core.ranker_flops import BI_ENCODER
from rankscale.models import checkpoints
from rankscale.models.base import Ranker
from rankscale.models.factory import build_model
from rankscale.models.released import Released, read_released
from rankscale.storage import tables
from rankscale.storage.origins import RECIPE
from rankscale.storage.schemas import SCHEMAS
from rankscale.text.token_store import TOKENIZER, TokenStore, tokenizer_digest
from rankscale.training.publishing import USED_WITH
from rankscale.training.untrained.options import AdoptOptions

OF_MODEL = ("model", "seed", "layers", "hidden", "heads")  # what tells the runs of a variant apart


def adopt(options: AdoptOptions) -> None:
    """Write the checkpoint and the tables of a run of no queries and no steps, the table of checkpoints last.

    Raises StudyError for a checkpoint that cannot be had, or that reads shorter texts than it is to.
    """
    model = as_it_is(options)
    keys: dict[str, Any] = {"variant": options.variant, "model": options.model, "train_queries": 0}
    keys |= {"seed": options.seed, "step": 0}
    layers, hidden = model.shape
    row = {
        **keys,
        "subset": "0",
        "checkpoint": FINAL,
        "layers": layers or None,
        "hidden": hidden,
        **model.parameters_by_part,
        "epoch": 0.0,
        "train_tokens": 0,
        "train_flops": 0.0,
        "status": "finished",
    }
    facts = {**keys, "pooling": model.pooling, "status": "finished", "inverse_temperature": options.inverse_temperature}
    facts |= {name: getattr(options, name) for name in USED_WITH} | {TOKENIZER: tokenizer_digest(options.tokens)}
    checkpoint, log_of_steps, times, row_of_checkpoint = (options.output / name for name in PUBLISHED)
    options.output.mkdir(parents=True, exist_ok=True)
    checkpoints.save_checkpoint(model, checkpoint, facts)
    tables.write("training", SCHEMAS["training"].empty_table(), log_of_steps)
    tables.write("training_times", SCHEMAS["training_times"].empty_table(), times)
    recipe = {name: value for name, value in result_settings(options).items() if name not in OF_MODEL}
    columns = {name: [value] for name, value in row.items()}
    tables.write("checkpoints", columns, row_of_checkpoint, origin={RECIPE: recipe})


def as_it_is(options: AdoptOptions) -> Ranker:
    """The model, a released checkpoint as it says itself. Raises StudyError as `adopt` does."""
    special = TokenStore.read(options.tokens, "queries", options.query_length).special
    released = read_released(options.checkpoint) if options.checkpoint and options.ranker == BI_ENCODER else None
    if released:
        _refuse_misfit(options, released)
        log.info("%s: %s", options.model, ", ".join(f"{k} {v!r}" for k, v in released._asdict().items()))
        options = replace(options, ranker_parameters=released.parameters(options.tokens))
    return build_model(options, special.vocabulary, options.tokens)


def _refuse_misfit(options: AdoptOptions, released: Released) -> None:
    if options.output_dim:
        raise StudyError(f"training.output_dim: {options.model} has vectors of its own; leave it out")
    for name in ("query_length", "passage_length"):
        if released.longest and getattr(options, name) > released.longest:
            raise StudyError(
                f"training.{name}: {getattr(options, name)} is more than the {released.longest} tokens that "
                f"{options.model} reads"
            )
