"""What a step on queries alone computes on: their texts, and whose negatives are to be found."""

import numpy as np
import torch

from rankscale.models.packing import pack
from rankscale.training.batch_loader import Batch, BatchLoader
from rankscale.training.negatives.dynamic import Wanted
from rankscale.training.objectives.base import Targets


class QueryLoader(BatchLoader):
    """Batches of queries with a positive each; the sampler draws no negatives."""

    def batch(self, epoch: int, position: int, order: np.ndarray, progress: float = 0.0) -> Batch:
        """The batch at one position of a pass that goes through the examples in `order`."""
        examples = order[position * self.size : (position + 1) * self.size]
        queries, documents = self.sampler.batch(epoch, position, examples, progress)
        parts = [pack((self.queries, queries[a:b])).to(self.device) for a, b in self._bounds()]
        wrong = [self.sampler.data.wrong[i] for i in examples]
        every, of = np.concatenate(wrong), np.repeat(np.arange(len(wrong)), list(map(len, wrong)))
        ascending = np.argsort(every, kind="stable")
        excluded = every[ascending].astype(np.int64)
        positives, owners, rows = map(self._on_device, (documents[:, 0], of[ascending], excluded))
        wanted = Wanted(examples, positives, owners, rows, excluded, epoch, position)
        targets = Targets(torch.zeros(len(queries), dtype=torch.long, device=self.device))
        return Batch(parts, (len(queries), 0), targets, self.queries.lengths[queries], wanted)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(self.device)
