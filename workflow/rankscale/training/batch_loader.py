"""What each step computes on, made ready while the step before it runs."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.models.kinds.pairs import Joined
from rankscale.models.packing import Apart, Packed
from rankscale.text.token_store import TokenStore
from rankscale.training.distributed import ProcessGroup
from rankscale.training.negatives.dynamic import Wanted
from rankscale.training.objectives.base import Targets
from rankscale.training.sampler import ExampleSampler
from rankscale.training.supervision.labels import Labels

AHEAD = 3  # batches made ready for a GPU


class Batch(NamedTuple):
    """One step's texts in parts that are computed one after the other: the queries of a part, then their passages; or
    its pairs.

    `shape` is the queries and the passages a query of the whole step, over all processes; `targets` are those of all
    its queries; `lengths` int64 are those of all its texts, in tokens. Where passages are not encoded (`shape` counts
    none), `wanted` says whose negatives are to be found, and `targets` nothing yet.
    """

    parts: list[Packed]
    shape: tuple[int, int]
    targets: Targets
    lengths: np.ndarray
    wanted: Wanted | None = None


class BatchLoader:
    """The batches of a run, from any step on; each is a function of (seed, pass, position) alone.

    Every process of several takes its share of a step's queries, and a share is computed in parts of at most
    `micro_batch` queries (0: in one). With `in_batch` each query's columns are the passages of the whole batch. `reads`
    says how the model reads queries and passages (None: apart). Raises StudyError if batch and processes do not go
    together.
    """

    def __init__(
        self,
        sampler: ExampleSampler,
        queries: TokenStore,
        documents: TokenStore,
        in_batch: bool,
        size: int,
        micro_batch: int,
        device: torch.device,
        processes: ProcessGroup,
        labels: Labels | None = None,
        reads: Apart | Joined | None = None,
    ) -> None:
        if size % processes.count:
            raise StudyError(f"training.batch_size: {size} queries do not divide among {processes.count} processes")
        self.sampler, self.queries, self.documents, self.in_batch = sampler, queries, documents, in_batch
        self.size, self.micro_batch, self.device, self.processes = size, micro_batch or size, device, processes
        self.labels, self.reads = labels or Labels(), reads or Apart()
        self.per_epoch = len(sampler) // size  # the last incomplete batch is dropped
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def batch(self, epoch: int, position: int, order: np.ndarray, progress: float = 0.0) -> Batch:
        """The batch at one position of a pass that goes through the examples in `order`.

        `progress` is the share of the run's steps that are behind it.
        """
        examples = order[position * self.size : (position + 1) * self.size]
        queries, documents = self.sampler.batch(epoch, position, examples, progress)
        parts = [
            self.reads.pack(self.queries, queries[a:b], self.documents, documents[a:b]).to(self.device)
            for a, b in self._bounds()
        ]
        lengths = self.reads.lengths(self.queries, queries, self.documents, documents)
        targets = self._targets(queries, documents)
        columns = documents.size if self.in_batch else documents.shape[1]
        labels = self.labels.batch(examples, documents, columns, epoch, position)
        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in labels.items()}
        return Batch(parts, documents.shape, targets._replace(**tensors), lengths)

    def _bounds(self) -> list[tuple[int, int]]:
        """Of the parts of this process: the first of a step's queries, and the one behind the last."""
        share = self.size // self.processes.count
        first = self.processes.rank * share
        starts = range(first, first + share, self.micro_batch)
        return [(start, min(start + self.micro_batch, first + share)) for start in starts]

    def _targets(self, queries: np.ndarray, documents: np.ndarray) -> Targets:
        """The targets of query rows [b] with document rows [b, k], the positive first."""
        b, k = documents.shape
        if not self.in_batch:
            return Targets(torch.zeros(b, dtype=torch.long, device=self.device))
        everyones = np.broadcast_to(documents.reshape(1, -1), (b, b * k))
        false_negatives = self.sampler.is_judged(queries, everyones)
        false_negatives[np.arange(b), np.arange(b) * k] = False
        return Targets(
            torch.arange(b, device=self.device) * k, ignore=torch.from_numpy(false_negatives).to(self.device)
        )

    def iterate_from(self, step: int, last: int) -> Iterator[Batch]:
        """The batches of the steps `step` + 1 to `last`."""
        steps = iter(range(step + 1, last + 1))
        if self.device.type == "cpu":  # a second thread would only take time from the first one's cores
            yield from (self._of_step(number, last) for number in steps)
            return
        with ThreadPoolExecutor(1) as executor:
            waiting = deque(executor.submit(self._of_step, number, last) for number in islice(steps, AHEAD))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(executor.submit(self._of_step, number, last) for number in islice(steps, 1))
                yield batch

    def _of_step(self, number: int, last: int) -> Batch:
        epoch, position = divmod(number - 1, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.sampler.epoch(epoch)
        return self.batch(epoch, position, self.order, (number - 1) / max(last - 1, 1))
