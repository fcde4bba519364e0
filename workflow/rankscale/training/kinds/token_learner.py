"""One step on late interaction: token vectors of all parts meet, and each part goes on from their gradient."""

from typing import NamedTuple

import numpy as np
import torch

from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.models.kinds.max_similarity import TokenVectors, pad_tokens
from rankscale.models.packing import Packed
from rankscale.training.batch_loader import Batch
from rankscale.training.learner import Learner
from rankscale.training.objectives.base import Targets


class Side(NamedTuple):
    """The queries, or the passages, of all parts of a process: where their tokens stand in an array [n, width]."""

    places: torch.Tensor  # int64 [tokens]
    shape: tuple[int, int]
    counted: torch.Tensor  # bool [tokens]


class TokenLearner(Learner):
    """Takes steps on a model whose texts are several vectors each."""

    model: LateInteraction

    def flops(self, batch: Batch) -> float:
        """FLOPs of a step on a batch: its texts', and those of the similarities of all tokens that are compared."""
        b, k = batch.shape
        queries, passages = batch.lengths[:b].astype(float), batch.lengths[b:].astype(float)
        if self.objective.in_batch:
            compared = queries.sum() * passages.sum()
        else:
            compared = (queries * passages.reshape(b, k).sum(1)).sum()
        return super().flops(batch) + 6.0 * self.model.token_dim * float(compared)

    def _loss_of_parts(
        self, parts: list[Packed], vectors: list[torch.Tensor], targets: Targets, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The loss of some parts, and its gradient for each part's token vectors float32 [tokens, d]."""
        b, k = shape
        counts = [self.queries_of(part, k) for part in parts]
        # A part's tokens are its queries', then its passages'.
        ends = [int(part.given_lengths[:n].sum()) for part, n in zip(parts, counts, strict=True)]
        ids = [part.ids[part.given_tokens] for part in parts]
        of_queries = [part.given_lengths[:n] for part, n in zip(parts, counts, strict=True)]
        of_passages = [part.given_lengths[n:] for part, n in zip(parts, counts, strict=True)]
        every = torch.ones(sum(ends), dtype=torch.bool, device=self.device)
        counted = torch.cat([self.model.counted(own[end:]) for own, end in zip(ids, ends, strict=True)])
        sides = self._side(np.concatenate(of_queries), every), self._side(np.concatenate(of_passages), counted)
        flat_queries = torch.cat([part[:end] for part, end in zip(vectors, ends, strict=True)])
        flat_passages = torch.cat([part[end:] for part, end in zip(vectors, ends, strict=True)])
        queries, passages = self._met(flat_queries.detach(), sides[0]), self._met(flat_passages.detach(), sides[1])
        n_queries = len(queries.vectors)
        by_own_query = TokenVectors(*(part.view(n_queries, k, *part.shape[1:]) for part in passages))
        scores = self.model.score(queries, by_own_query, self.objective.in_batch)
        loss = self._mean_of(scores, targets) * (n_queries / b)
        self.scaler.scale(loss).backward()
        by_query = self._ours(queries.vectors, sides[0]).split(ends)
        of_each = [len(part) - end for part, end in zip(vectors, ends, strict=True)]
        by_passage = self._ours(passages.vectors, sides[1]).split(of_each)
        return loss.detach(), [torch.cat(pair) for pair in zip(by_query, by_passage, strict=True)]

    def _side(self, lengths: np.ndarray, counted: torch.Tensor) -> Side:
        """The places of the tokens of texts of `lengths` [n], as wide as the longest, of any process that shares."""
        width = int(lengths.max())
        if self.shares_scores:
            width = self.processes.all_reduce_max(width)
        position = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = np.repeat(np.arange(len(lengths)) * width, lengths) + position
        return Side(torch.from_numpy(places).to(self.device), (len(lengths), width), counted)

    def _met(self, flat: torch.Tensor, side: Side) -> TokenVectors:
        """The texts of all processes that share their scores, or of this one; a leaf of the graph."""
        padded = pad_tokens(flat, side.places, side.shape)
        counted = torch.zeros(side.shape, dtype=torch.uint8, device=self.device)
        counted.view(-1)[side.places] = side.counted.to(torch.uint8)
        if self.shares_scores:
            padded, counted = self.processes.gather(padded), self.processes.gather(counted)
        return TokenVectors(padded.requires_grad_(), counted.bool())

    def _ours(self, met: torch.Tensor, side: Side) -> torch.Tensor:
        """The gradient [tokens, d] of this process's tokens, of all that met."""
        assert met.grad is not None, "backward() has set it"
        n, width = side.shape
        first = self.processes.rank * n if self.shares_scores else 0
        return met.grad[first : first + n].reshape(n * width, -1).index_select(0, side.places)
