"""The model of a run before its first step."""

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


def build_model(options: ModelOptions, vocabulary: int) -> Ranker:
    """The model before its first step; from scratch, its weights are a function of the seed alone.

    Raises StudyError for a kind that there is not, and for a checkpoint that cannot be had or does not fit.
    """
    kinds = [name for name, ranker in RANKERS.items() if ranker.is_built]
    if options.ranker not in kinds:
        raise StudyError(f"--ranker: there is no kind {options.ranker}; there are {', '.join(kinds)}")
    torch.manual_seed(int(generator(options.seed, "weights").integers(2**62)))
    encoder: Encoder
    if options.checkpoint:
        encoder = load_pretrained(options.checkpoint)
        _refuse_misfit(options, encoder, vocabulary)
    elif options.layers and options.hidden and options.heads:
        longest = max(options.query_length, options.passage_length)
        encoder = from_scratch(options.layers, options.hidden, options.heads, vocabulary, longest)
    else:
        raise StudyError("--layers, --hidden, --heads: one is missing; or give a --checkpoint")
    if options.gradient_checkpointing:
        encoder.checkpoint()
    return RANKERS[options.ranker](encoder, options.output_dim)


def _refuse_misfit(options: ModelOptions, encoder: Encoder, vocabulary: int) -> None:
    """Raise StudyError for an encoder that cannot read such long texts, or so many different tokens."""
    longest = position_limit(encoder)
    for key in ("query_length", "passage_length"):
        length = getattr(options, key)
        if longest and length > longest:
            raise StudyError(f"training.{key}: {length} is more than the {longest} tokens {options.model} reads")
    if vocabulary > encoder.config.vocab_size:
        raise StudyError(
            f"model {options.model}: its vocabulary has {encoder.config.vocab_size} entries, its tokenizer "
            f"{vocabulary}; name the tokenizer that belongs to the checkpoint"
        )
