"""The model of a run before its first step."""

from pathlib import Path

import torch

from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.models.base import Ranker
from rankscale.models.bert import Bert, BertShape
from rankscale.models.encoder import Encoder
from rankscale.models.options import ModelOptions
from rankscale.models.pretrained import load_pretrained, position_limit
from rankscale.models.registry import RANKERS


def from_scratch(layers: int, hidden: int, heads: int, vocabulary: int, longest: int) -> Bert:
    """A BERT encoder of the usual proportions (4 H wide inside), without dropout, randomly initialised."""
    return Bert(BertShape(vocabulary, hidden, layers, heads, 4 * hidden, longest))


def build_model(options: ModelOptions, vocabulary: int, tokens: Path) -> Ranker:
    """The model before its first step; from scratch, its weights are a function of the seed alone.

    It reads the token ids in the folder `tokens`, of so large a `vocabulary`. Raises StudyError for a kind that there
    is not or is not made so, and for a checkpoint that cannot be had or does not fit.
    """
    kinds = [name for name, ranker in RANKERS.items() if ranker.is_built]
    if options.ranker not in kinds:
        raise StudyError(f"--ranker: there is no kind {options.ranker}; there are {', '.join(kinds)}")
    kind = RANKERS[options.ranker]
    settings = kind.settings_of(dict(options.ranker_parameters or {}), tokens)
    torch.manual_seed(int(generator(options.seed, "weights").integers(2**62)))
    encoder: Encoder
    if options.checkpoint:
        encoder = load_pretrained(options.checkpoint)
        _refuse_misfit(options, encoder, vocabulary)
    elif options.layers and options.hidden and options.heads:
        longest = kind.longest_text(options.query_length, options.passage_length)
        encoder = from_scratch(options.layers, options.hidden, options.heads, vocabulary, longest)
    else:
        raise StudyError("--layers, --hidden, --heads: one is missing; or give a --checkpoint")
    if options.gradient_checkpointing:
        encoder.checkpoint()
    try:
        return kind(encoder, options.output_dim, **settings)
    except TypeError as error:
        raise StudyError(f"--ranker-parameters: {options.ranker} has others ({error})") from error


def _refuse_misfit(options: ModelOptions, encoder: Encoder, vocabulary: int) -> None:
    """Raise StudyError for an encoder that cannot read such long texts, or so many different tokens."""
    longest = position_limit(encoder)
    for key in ("query_length", "passage_length"):
        length = getattr(options, key)
        if longest and length > longest:
            raise StudyError(f"training.{key}: {length} is more than the {longest} tokens {options.model} reads")
    together = RANKERS[options.ranker].longest_text(options.query_length, options.passage_length)
    if longest and together > longest:
        raise StudyError(
            f"training.query_length, training.passage_length: {together} together are more than the {longest} tokens "
            f"{options.model} reads, and a {options.ranker} reads both as one text"
        )
    if vocabulary > encoder.config.vocab_size:
        raise StudyError(
            f"model {options.model}: its vocabulary has {encoder.config.vocab_size} entries, its tokenizer "
            f"{vocabulary}; name the tokenizer that belongs to the checkpoint"
        )
