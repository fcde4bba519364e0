"""The model of a run before its first step."""

import argparse

import torch

from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.models import bi_encoder
from rankscale.models.bert import Bert, BertShape
from rankscale.models.pretrained import load_pretrained, position_limit


def from_scratch(layers: int, hidden: int, heads: int, vocabulary: int, longest: int) -> Bert:
    """A BERT encoder of the usual proportions (4 H wide inside), without dropout, randomly initialised."""
    return Bert(BertShape(vocabulary, hidden, layers, heads, 4 * hidden, longest))


def build_model(args: argparse.Namespace, vocabulary: int) -> bi_encoder.BiEncoder:
    """The model before its first step; from scratch, its weights are a function of the seed alone."""
    torch.manual_seed(int(generator(args.seed, "weights").integers(2**62)))
    if args.checkpoint:
        encoder = load_pretrained(args.checkpoint)
        longest = position_limit(encoder)
        for key in ("query_length", "passage_length"):
            if longest and getattr(args, key) > longest:
                raise StudyError(
                    f"training.{key}: {getattr(args, key)} is more than the {longest} tokens {args.model} reads"
                )
        if vocabulary > encoder.config.vocab_size:
            raise StudyError(
                f"model {args.model}: its vocabulary has {encoder.config.vocab_size} entries, its tokenizer "
                f"{vocabulary}; name the tokenizer that belongs to the checkpoint"
            )
    else:
        longest = max(args.query_length, args.passage_length)
        encoder = from_scratch(args.layers, args.hidden, args.heads, vocabulary, longest)
    if args.gradient_checkpointing:
        encoder.checkpoint()
    return bi_encoder.BiEncoder(encoder, args.output_dim)
