"""The bi-encoder: a transformer encoder, pooled, a linear head; scores are inner products."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from rankscale.models.base import Ranker
from rankscale.models.encoder import Encoder
from rankscale.models.kinds.pooling import pooled_states
from rankscale.models.packing import Packed
from rankscale.text.token_store import TokenStore


class BiEncoder(Ranker):
    """Encodes queries and passages alike: packed texts to vectors [n, dimension], of length 1 with `normalize`.

    `query_prefix` and `passage_prefix` are the tokens that it reads before each text.
    """

    kind = "bi_encoder"

    def __init__(
        self,
        encoder: Encoder,
        dimension: int | None,
        pooling: str = "mean",
        *,
        normalize: bool = False,
        query_prefix: Sequence[int] = (),
        passage_prefix: Sequence[int] = (),
    ) -> None:
        super().__init__(encoder, dimension, pooling)
        self.normalize, self.query_prefix, self.passage_prefix = normalize, list(query_prefix), list(passage_prefix)
        every = {"normalize": normalize, "query_prefix": self.query_prefix, "passage_prefix": self.passage_prefix}
        self.settings = {name: value for name, value in every.items() if value}

    def as_read(self, queries: TokenStore, documents: TokenStore) -> tuple[TokenStore, TokenStore]:
        """Queries and documents with the prefixes that it reads with them."""
        return queries.prefixed(self.query_prefix), documents.prefixed(self.passage_prefix)

    def forward(self, texts: Packed) -> torch.Tensor:
        """Vectors float [n, dimension] of the texts, in the order in which they were asked for."""
        vectors = self.head(pooled_states(self.encoder, texts, self.pooling))
        return functional.normalize(vectors.float(), dim=-1) if self.normalize else vectors

    def score(self, queries: torch.Tensor, passages: torch.Tensor, in_batch: bool) -> torch.Tensor:
        """Inner products of queries [b, d] and passages [b, k, d]."""
        if in_batch:
            return queries @ passages.flatten(0, 1).T
        return torch.einsum("bd,bkd->bk", queries, passages)
