"""One step on a cross-encoder: what its parts are encoded to are scores already."""

import torch

from rankscale.models.packing import Packed
from rankscale.training.learner import Learner
from rankscale.training.objectives.base import Targets


class PairLearner(Learner):
    """Takes steps on a model that reads a query and a passage as one text."""

    def queries_of(self, part: Packed, k: int) -> int:
        """How many queries a part has, with k pairs each."""
        return len(part.lengths) // k

    def _loss_on_vectors(
        self, vectors: list[torch.Tensor], targets: Targets, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The loss of some parts, and its gradient for each part's scores float32 [n k, 1]."""
        b, k = shape
        scores = torch.cat(vectors).detach()  # [q k, 1], q: ours
        first, last = 0, len(scores)
        if self.shares_scores:
            first, last = self.processes.rank * last, (self.processes.rank + 1) * last
            scores = self.processes.gather(scores)  # [b k, 1]
        scores.requires_grad_()
        loss = self._mean_of(scores.view(-1, k), targets) * (len(scores) / (b * k))
        self.scaler.scale(loss).backward()
        assert scores.grad is not None, "backward() has set it"
        return loss.detach(), list(scores.grad[first:last].split([len(part) for part in vectors]))
