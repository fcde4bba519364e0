"""Texts to vectors with a finished model, each distinct text once, in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.models.base import Ranker
from rankscale.models.packing import pack
from rankscale.text.token_store import TokenStore


class Chunks:
    """Vectors of distinct texts, put back where each text occurs among `rows`, and given out in chunks.

    An occurrence is a position in `rows`; several of one distinct text get one vector, to the bit. A chunk collects
    batches until it is given out.
    """

    def __init__(self, tokens: TokenStore, rows: np.ndarray) -> None:
        self.tokens, self.rows = tokens, rows
        self.distinct, text_index = tokens.unique(rows)
        # The occurrences of distinct text i are occurrences[edges[i] : edges[i + 1]].
        self.occurrences = np.argsort(text_index, kind="stable")
        self.edges = np.searchsorted(text_index[self.occurrences], np.arange(len(self.distinct) + 1))
        self.index_of_row = np.empty(len(tokens), np.int64)  # of a distinct text's row
        self.index_of_row[self.distinct] = np.arange(len(self.distinct))
        self.vectors: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []  # indices of the distinct texts whose vectors these are
        self.n_occurrences = 0

    def add(self, batch: np.ndarray, vectors: np.ndarray) -> None:
        """Add the vectors float32 [n, d] of the distinct texts at rows `batch` [n] to the chunk."""
        texts = self.index_of_row[batch]
        self.vectors.append(vectors)
        self.texts.append(texts)
        self.n_occurrences += int((self.edges[texts + 1] - self.edges[texts]).sum())

    def finished_chunk(self) -> tuple[np.ndarray, np.ndarray]:
        """The chunk as rows, ascending, and their vectors float32 [n, d], and begin a new one."""
        texts = np.concatenate(self.texts)
        counts = self.edges[texts + 1] - self.edges[texts]
        vector_index = np.repeat(np.arange(len(texts)), counts)
        # Where in `occurrences` each text's run lies, one run after the other.
        shift = np.repeat(self.edges[texts] - np.cumsum(counts) + counts, counts)
        rows = self.rows[self.occurrences[np.arange(len(vector_index)) + shift]]
        ascending = np.argsort(rows, kind="stable")
        vectors = np.concatenate(self.vectors)[vector_index[ascending]]
        self.vectors, self.texts, self.n_occurrences = [], [], 0
        return rows[ascending], vectors


def encode_in_chunks(
    model: Ranker,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
    size: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors of the texts `rows` in chunks of about `size` bytes (0: one chunk): rows, ascending, and float32 [n, d].

    Each distinct text is encoded once, so equal texts get equal vectors; a chunk holds all texts of some lengths.
    Length-sorted batches under a token budget: almost nothing is padding, and memory does not depend on the number.
    `precision` makes the context in which the encoder's products are taken; each batch has its own, as autocast keeps
    copies of the weights. Raises StudyError, naming the text, if a vector is not finite.
    """
    model.eval()
    chunks = Chunks(tokens, rows)
    for batch in progress(tokens.length_sorted(chunks.distinct, tokens_a_batch(model, device)), doing, "batch"):
        with torch.inference_mode(), precision():
            vectors = model(pack((tokens, batch)).to(device)).float().cpu().numpy()
        infinite = np.flatnonzero(~np.isfinite(vectors).all(1))
        if len(infinite):
            raise StudyError(f"the model gives {tokens.ids[batch[infinite[0]]]} a vector that is not finite")
        chunks.add(batch, vectors)
        if size and chunks.n_occurrences * vectors.shape[1] * 4 >= size:
            yield chunks.finished_chunk()
    if chunks.vectors:
        yield chunks.finished_chunk()


def tokens_a_batch(model: Ranker, device: torch.device) -> int:
    """Tokens of a batch: many for a GPU; on a processor as many as its cache holds the states of, at most 4,096."""
    return 1 << 15 if device.type == "cuda" else min(1 << 12, (3 << 20) // (4 * model.shape[1]))


def encode(
    model: Ranker,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
) -> np.ndarray:
    """Vectors float32 [n, dimension] of the texts `rows`, in their order, as `encode_in_chunks` makes them."""
    ((ascending, vectors),) = encode_in_chunks(model, tokens, rows, device, doing, precision)
    return vectors[np.searchsorted(ascending, rows)]
