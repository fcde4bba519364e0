"""What every loss takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

IMPOSSIBLE = -1e9  # a score in the place of -inf, which has no gradient


class Targets(NamedTuple):
    """What a loss is told of b queries beside their scores [b, c]; the columns are the passages of each.

    `positive` int64 [b] is the column of each query's positive. `ignore` bool [b, c] marks judged positives among
    a query's other columns, which are no negatives of it (None: there are none). `teacher` float32 [b, c] are another
    model's scores, `grades` float32 [b, c] those of judgments (0 where there is none), `uniform` float32 [b, n, c]
    random numbers above 0 and below 1: for losses that need them. `weight` float32 [b] multiplies the loss of each
    query. `mixture` float32 [b, m, k] makes m more negatives of a query's own k passages; no loss sees it.
    """

    positive: torch.Tensor
    ignore: torch.Tensor | None = None
    teacher: torch.Tensor | None = None
    grades: torch.Tensor | None = None
    uniform: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    mixture: torch.Tensor | None = None

    def rows(self, start: int, stop: int) -> "Targets":
        """The targets of the queries from `start` to `stop`."""
        return Targets(self.positive[start:stop], *(None if value is None else value[start:stop] for value in self[1:]))

    def negatives(self, columns: int) -> torch.Tensor:
        """Which of the `columns` are negatives of each query, bool [b, columns]."""
        shape = len(self.positive), columns
        others = torch.ones(shape, dtype=torch.bool, device=self.positive.device)
        others.scatter_(1, self.positive[:, None], False)
        return others if self.ignore is None else others & ~self.ignore


@dataclass(frozen=True)
class Objective(ABC):
    """A loss over scores, whatever kind of ranker they come from.

    Made as `OBJECTIVES[name](in_batch=..., **parameters)`. With `in_batch` the columns are the passages of all queries
    of the batch, else those of the query alone. `needs` says what it cannot do without:

    teacher, grades   that field of `Targets`
    in_batch          the passages of the whole batch as columns
    own_negatives     the passages of each query alone as columns, the positive first
    whole_batch       the scores of all queries of a batch at once, however the batch is divided
    """

    in_batch: bool
    needs: ClassVar[frozenset[str]] = frozenset()

    @property
    def draws(self) -> int:
        """How many random numbers a column it takes at each step (`Targets.uniform`)."""
        return 0

    @property
    def shares_scores(self) -> bool:
        """Whether the queries of a batch must meet before its loss can be taken."""
        return self.in_batch or "whole_batch" in self.needs

    @abstractmethod
    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of each query, of its scores float32 [b, c]: -inf in the columns to `ignore`."""

    @abstractmethod
    def chance(self, columns: int) -> float:
        """The loss of a model that scores all `columns` of a query alike; divergence is judged against it."""


def positive_scores(scores: torch.Tensor, targets: Targets) -> torch.Tensor:
    """The score [b, 1] of each query's positive, of its scores [b, c]."""
    return scores.gather(1, targets.positive[:, None])


def mean_over(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean [b] of the `chosen` of each row's values [b, c]; 0 where none is."""
    return values.masked_fill(~chosen, 0.0).sum(1) / chosen.sum(1).clamp(min=1)
