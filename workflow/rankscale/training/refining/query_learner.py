"""One step on queries alone: encoded, searched with, scored against the passages as they were left."""

from typing import Any

import numpy as np
import torch

from rankscale.training.batch_loader import Batch
from rankscale.training.learner import Learner
from rankscale.training.negatives.dynamic import Wanted, nearest
from rankscale.training.objectives.base import Targets
from rankscale.training.supervision.labels import Labels


class QueryLearner(Learner):
    """Takes steps on a model that encodes queries; the vectors [n, d] of all passages stay as they are.

    The negatives of a query are the `depth` passages nearest to its vector at this very step, but for those that are
    none of it. Every process searches for the queries of all, as they meet for the loss.
    """

    def __init__(self, passages: torch.Tensor, labels: Labels, depth: int, *args: Any) -> None:
        super().__init__(*args)
        self.passages, self.labels, self.depth = passages, labels, depth
        self.shares_scores = True  # of several parts the vectors meet, as they do where columns are shared

    def flops(self, batch: Batch) -> float:
        """FLOPs of a step on a batch: its queries', and those of the products with all passages."""
        return super().flops(batch) + 2.0 * batch.shape[0] * self.passages.numel()

    def _accumulate(self, batch: Batch) -> torch.Tensor:
        assert batch.wanted is not None, "it is a batch of queries"
        with torch.set_grad_enabled(len(batch.parts) == 1):
            vectors = [self._encode(part) for part in batch.parts]  # [n, d] a part
        own = torch.cat(vectors).detach()
        queries = self.processes.gather(own)  # [b, d]
        negatives = nearest(queries, self.passages, batch.wanted, self.depth)
        documents = torch.cat([batch.wanted.positives[:, None], negatives], dim=1)  # [b, k]
        queries.requires_grad_()
        targets = self._targets(batch.wanted, documents, batch.targets)
        loss = self._mean_loss(queries, self.passages[documents], targets)
        self.scaler.scale(loss).backward()
        assert queries.grad is not None, "backward() has set it"
        first = self.processes.rank * len(own)
        gradients = queries.grad[first : first + len(own)].split(list(map(len, vectors)))
        for part, encoded, gradient in zip(batch.parts, vectors, gradients, strict=True):
            self._propagate(part, encoded, gradient)
        return loss.detach()

    def _targets(self, wanted: Wanted, documents: torch.Tensor, targets: Targets) -> Targets:
        """What the loss is told of queries with `documents` [b, k], the positive first."""
        b, k = documents.shape
        # Their rows are fetched where something is known by rows alone: a GPU is waited for then.
        by_row = self.labels.grades or self.labels.weights
        rows = documents.cpu().numpy() if by_row else np.empty((b, k), np.int64)
        fields = self.labels.batch(wanted.examples, rows, k, wanted.epoch, wanted.position)
        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in fields.items()}
        return targets._replace(**tensors)
