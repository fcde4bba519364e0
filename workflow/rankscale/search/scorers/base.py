"""What scores an evaluation's queries: given pairs with documents, and the best documents of each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch

from rankscale.models.base import Ranker
from rankscale.text.token_store import TokenStore


class Scored(Protocol):
    """Scores of pairs, whole once all documents that they need were added."""

    @property
    def scores(self) -> np.ndarray:
        """Scores float32 [pairs]."""

    def add(self, rows: np.ndarray, part: Any) -> None:
        """Take in documents by their rows, ascending."""


class Ranked(Protocol):
    """The best documents of each query, whole once all documents were added."""

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 and rows int64 [queries, depth], the best first; -inf and -1 where there are fewer."""

    def add(self, rows: np.ndarray, part: Any) -> None:
        """Take in documents by their rows, ascending."""


class Texts(NamedTuple):
    """A model and what it reads; `precision` makes the context in which its products are taken."""

    model: Ranker
    queries: TokenStore
    documents: TokenStore
    device: torch.device
    precision: Callable[[], AbstractContextManager]


class Scorer(ABC):
    """Scores the q queries at `rows` int64 [q] of a model's queries; pairs name them by position.

    `first_stage` int64 [q, depth] are rows of documents, -1 where there are fewer, for a kind that cannot search.
    """

    searches: ClassVar[bool] = True

    def __init__(self, texts: Texts, rows: np.ndarray) -> None:
        self.texts, self.rows = texts, rows
        self.first_stage: np.ndarray | None = None

    @abstractmethod
    def pairs(self, queries: np.ndarray, rows: np.ndarray) -> Scored:
        """Scores of pairs: positions int64 [pairs] of queries, rows int64 [pairs] of documents."""

    @abstractmethod
    def best(self, depth: int) -> Ranked:
        """The best `depth` of the documents that are added."""

    @abstractmethod
    def flops(self, queries: np.ndarray, rows: np.ndarray) -> float:
        """FLOPs of scoring pairs, each distinct text (or pair of a joint reader) encoded once."""

    @abstractmethod
    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
        """The documents at `rows` int64, ascending, in parts: rows, ascending, and what `add` takes of them."""
