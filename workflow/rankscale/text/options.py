"""What the stage `tokenize` is told.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass

from rankscale.core.options import option


@dataclass(frozen=True)
class TokenizeOptions:
    """A model's tokenizer, or the vocabulary that is trained instead."""

    tokenizer: str | None = option(None, help="hub id or folder; without it a vocabulary is trained")
    vocabulary: int = option(8000, help="size of the vocabulary to train")
    split: str = option("train", help="whose queries the vocabulary is trained on, too")
