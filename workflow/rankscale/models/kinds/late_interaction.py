"""Late interaction: a vector a token, and a query token's score is that of the passage's nearest token.

Khattab and Zaharia, ColBERT (arXiv 2004.12832).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rankscale.models.base import Ranker
from rankscale.models.encoder import Encoder
from rankscale.models.kinds import vocabulary
from rankscale.models.kinds.max_similarity import TokenVectors, all_scores, own_scores
from rankscale.models.packing import Packed
from rankscale.text.token_store import TokenStore


class LateInteraction(Ranker):
    """Encodes texts to token vectors of length 1 and `token_dim` numbers, by a linear map of the encoder's states.

    `fill`: the token with which queries are filled up to the longest that is read (None: they are not), which the
    other tokens attend to if `attend_to_fill`; `skipped`: tokens of passages that do not count. `dimension` and
    `pooling` are other kinds'.
    """

    kind = "late_interaction"

    def __init__(
        self,
        encoder: Encoder,
        dimension: int | None,
        pooling: str = "mean",
        *,
        token_dim: int = 128,
        fill: int | None = None,
        attend_to_fill: bool = False,
        skipped: Sequence[int] = (),
    ) -> None:
        super().__init__(encoder, None, pooling)
        self.head = nn.Linear(encoder.config.hidden_size, token_dim, bias=False)
        self.fill, self.attend_to_fill = fill, attend_to_fill
        self.settings = {
            "token_dim": token_dim,
            "fill": fill,
            "attend_to_fill": attend_to_fill,
            "skipped": list(skipped),
        }
        self.skipped: torch.Tensor
        self.register_buffer("skipped", torch.tensor(list(skipped), dtype=torch.long), persistent=False)

    @classmethod
    def settings_of(cls, parameters: dict[str, Any], tokens: Path) -> dict[str, Any]:
        """What one is made with: the tokens that `query_fill` and `skip_punctuation` mean, by the tokenizer."""
        settings = dict(parameters)
        if settings.pop("query_fill", False):
            settings["fill"] = vocabulary.mask_token(tokens)
        if settings.pop("skip_punctuation", False):
            settings["skipped"] = vocabulary.punctuation(tokens)
        return settings

    @property
    def token_dim(self) -> int:
        """Numbers of a token's vector."""
        return int(self.settings["token_dim"])

    def as_read(self, queries: TokenStore, documents: TokenStore) -> tuple[TokenStore, TokenStore]:
        """Queries filled, if they are to be."""
        return queries if self.fill is None else queries.filled(self.fill, not self.attend_to_fill), documents

    def forward(self, texts: Packed) -> torch.Tensor:
        """Vectors float [tokens, token_dim] of the texts' tokens, one text after the other as they were given."""
        states = self.encoder(texts)
        vectors = functional.normalize(self.head(states).float(), dim=-1)
        return vectors.index_select(0, texts.given_tokens)

    def counted(self, ids: torch.Tensor) -> torch.Tensor:
        """Which tokens of passages count, bool [tokens], of their ids."""
        return ~torch.isin(ids, self.skipped)

    def score(self, queries: TokenVectors, passages: TokenVectors, in_batch: bool) -> torch.Tensor:  # type: ignore[override]
        """Scores of queries [b, s, d] against passages [b, k, t, d]: their own [b, k], or everyone's [b, b k]."""
        if not in_batch:
            return own_scores(queries, passages)
        everyones = TokenVectors(passages.vectors.flatten(0, 1), passages.counted.flatten(0, 1))
        return all_scores(queries, everyones)

    def training_flops(self, lengths: np.ndarray) -> float:
        """FLOPs of training on texts of `lengths` tokens, int64 [n], without those of scores: the head is a token's."""
        per_text = 6 * self.parameters_by_part["head_parameters"]
        return super().training_flops(lengths) + float(per_text * (lengths - 1).sum())
