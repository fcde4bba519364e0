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


def encode_in_chunks(
    model: Ranker,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
    size: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors of the texts `rows` in parts of about `size` bytes (0: one part): rows, ascending, and float32 [n, d].

    Each distinct text is encoded once, so equal texts get equal vectors; a part holds all texts of some lengths.
    Length-sorted batches under a token budget: almost nothing is padding, and memory does not depend on the number.
    `precision` makes the context in which the encoder's products are taken; each batch has its own, as autocast keeps
    copies of the weights. Raises StudyError, naming the text, if a vector is not finite.
    """
    model.eval()
    distinct, which = tokens.unique(rows)
    order = np.argsort(which, kind="stable")  # texts that are the same, one after the other
    edges = np.searchsorted(which[order], np.arange(len(distinct) + 1))
    place = np.empty(len(tokens), np.int64)
    place[distinct] = np.arange(len(distinct))
    held: list[np.ndarray] = []
    texts: list[np.ndarray] = []

    def part() -> tuple[np.ndarray, np.ndarray]:
        some = place[np.concatenate(texts)]
        times = edges[some + 1] - edges[some]
        repeats = np.repeat(np.arange(len(some)), times)
        where = order[np.arange(len(repeats)) + np.repeat(edges[some] - np.cumsum(times) + times, times)]
        ascending = np.argsort(rows[where], kind="stable")
        return rows[where[ascending]], np.concatenate(held)[repeats[ascending]]

    count = 0
    for some in progress(tokens.length_sorted(distinct, _tokens_a_batch(model, device)), doing, "batch"):
        with torch.inference_mode(), precision():
            vectors = model(pack((tokens, some)).to(device)).float().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(vectors).all(1))
        if len(bad):
            raise StudyError(f"the model gives {tokens.ids[some[bad[0]]]} a vector that is not finite")
        held.append(vectors)
        texts.append(some)
        at = place[some]
        count += int((edges[at + 1] - edges[at]).sum())
        if size and count * vectors.shape[1] * 4 >= size:
            yield part()
            held, texts, count = [], [], 0
    if held:
        yield part()


def _tokens_a_batch(model: Ranker, device: torch.device) -> int:
    """Tokens of a batch: many for a GPU; on a processor as many as its cache holds the states of, at most 4,096."""
    return 1 << 15 if device.type == "cuda" else min(1 << 12, (3 << 20) // (4 * model.encoder.config.hidden_size))


def encode(
    model: Ranker,
    tokens: TokenStore,
    rows: np.ndarray,
    device: torch.device,
    doing: str,
    precision: Callable[[], AbstractContextManager] = nullcontext,
) -> np.ndarray:
    """Vectors float32 [n, dimension] of the texts `rows`, in their order, as `encode_parts` makes them."""
    ((found, vectors),) = encode_in_chunks(model, tokens, rows, device, doing, precision)
    return vectors[np.searchsorted(found, rows)]
