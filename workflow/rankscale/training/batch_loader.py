"""What each step computes on, made ready while the step before it runs."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.models.packing import Packed, pack
from rankscale.text.token_store import TokenStore
from rankscale.training.distributed import ProcessGroup
from rankscale.training.sampler import ExampleSampler

AHEAD = 3  # batches made ready for a GPU


class Batch(NamedTuple):
    """One step's texts in parts that are computed one after the other: the queries of a part, then their passages.

    `shape` is the queries and the passages a query of the whole step, over all processes; `judged` bool
    [b, b k] marks its false negatives; `lengths` int64 are those of all its texts, in tokens.
    """

    parts: list[Packed]
    shape: tuple[int, int]
    judged: torch.Tensor | None
    lengths: np.ndarray


class BatchLoader:
    """The batches of a run, from any step on; each is a function of (seed, pass, position) alone.

    Every process of several takes its share of a step's queries, and a share is computed in parts of at most
    `part` queries (0: in one). Raises StudyError if batch and processes do not go together.
    """

    def __init__(
        self,
        examples: ExampleSampler,
        queries: TokenStore,
        documents: TokenStore,
        size: int,
        part: int,
        device: torch.device,
        processes: ProcessGroup,
    ) -> None:
        if size % processes.count:
            raise StudyError(f"training.batch_size: {size} queries do not divide among {processes.count} processes")
        self.examples, self.queries, self.documents = examples, queries, documents
        self.size, self.part, self.device, self.processes = size, part or size, device, processes
        self.per_epoch = len(examples) // size  # the last incomplete batch is dropped
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def batch(self, epoch: int, position: int, order: np.ndarray) -> Batch:
        """The batch at one position of a pass that goes through the examples in `order`."""
        chosen = order[position * self.size : (position + 1) * self.size]
        queries, documents = self.examples.batch(epoch, position, chosen)
        judged = None
        if self.examples.objective == "mined+in_batch":
            everyone = np.broadcast_to(documents.reshape(1, -1), (len(queries), documents.size))
            marked = self.examples.is_judged(queries, everyone)
            marked[np.arange(len(queries)), np.arange(len(queries)) * documents.shape[1]] = False
            judged = torch.from_numpy(marked).to(self.device)
        share = self.size // self.processes.count
        first = self.processes.rank * share
        parts = [
            pack((self.queries, queries[a:b]), (self.documents, documents[a:b].reshape(-1))).to(self.device)
            for a in range(first, first + share, self.part)
            for b in [min(a + self.part, first + share)]
        ]
        lengths = np.concatenate([self.queries.lengths[queries], self.documents.lengths[documents].reshape(-1)])
        return Batch(parts, documents.shape, judged, lengths)

    def after(self, step: int, last: int) -> Iterator[Batch]:
        """The batches of the steps `step` + 1 to `last`."""
        steps = iter(range(step + 1, last + 1))
        if self.device.type == "cpu":  # a second thread would only take time from the first one's cores
            yield from map(self._of_step, steps)
            return
        with ThreadPoolExecutor(1) as made:
            waiting = deque(made.submit(self._of_step, number) for number in islice(steps, AHEAD))
            while waiting:
                ready = waiting.popleft().result()
                waiting.extend(made.submit(self._of_step, number) for number in islice(steps, 1))
                yield ready

    def _of_step(self, number: int) -> Batch:
        epoch, position = divmod(number - 1, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.examples.epoch(epoch)
        return self.batch(epoch, position, self.order)
