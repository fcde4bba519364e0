"""What every loss takes and gives."""

from typing import NamedTuple, Protocol

import torch


class Targets(NamedTuple):
    """What a loss is told of b queries beside their scores [b, c]; the columns are the passages of each.

    `positive` int64 [b] is the column of each query's positive. `ignore` bool [b, c] marks judged positives among
    a query's other columns, which are no negatives of it (None: there are none). `teacher` float32 [b, c] are another
    model's scores and `weight` float32 [b, c] those of the columns, for losses that need them.
    """

    positive: torch.Tensor
    ignore: torch.Tensor | None = None
    teacher: torch.Tensor | None = None
    weight: torch.Tensor | None = None

    def rows(self, start: int, stop: int) -> "Targets":
        """The targets of the queries from `start` to `stop`."""
        return Targets(self.positive[start:stop], *(None if value is None else value[start:stop] for value in self[1:]))


class Objective(Protocol):
    """A loss over scores, whatever kind of ranker they come from.

    Made as `OBJECTIVES[name](in_batch=..., **parameters)`. With `in_batch` the columns are the passages of all queries
    of the batch, else those of the query alone. `needs` names the fields of `Targets` without which it cannot do.
    """

    @property
    def in_batch(self) -> bool:
        """Whether a query's columns are the passages of the whole batch."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """The fields of `Targets` that it cannot do without."""
        ...

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of each query, of its scores float32 [b, c]: -inf in the columns to `ignore`."""
        ...

    def chance(self, columns: int) -> float:
        """The loss of a model that scores all `columns` of a query alike; divergence is judged against it."""
        ...
