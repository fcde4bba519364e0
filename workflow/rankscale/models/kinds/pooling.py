"""A text's token states as one."""

import torch

from rankscale.models.bert import Bert
from rankscale.models.encoder import Encoder
from rankscale.models.packing import Packed


def pooled_states(encoder: Encoder, texts: Packed, pooling: str) -> torch.Tensor:
    """States float [n, hidden] of the texts, in the order in which they were given: `mean`, or the first (`cls`)."""
    if pooling == "mean":
        pooled = texts.mean(encoder(texts))
    elif isinstance(encoder, Bert):
        pooled = encoder.first(texts)
    else:
        pooled = encoder(texts)[texts.starts]
    return pooled.index_select(0, texts.back)
