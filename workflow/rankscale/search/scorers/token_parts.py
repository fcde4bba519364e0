"""Texts to token vectors with a finished model, each distinct text once, in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.models.encoding import tokens_a_batch
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.models.packing import pack
from rankscale.search.scorers.base import Texts
from rankscale.text.token_store import TokenStore


class TokenPart:
    """Vectors of the tokens that count of n texts, one text after the other: float32 [tokens, d], lengths int64 [n]."""

    def __init__(self, flat: np.ndarray, lengths: np.ndarray) -> None:
        self.flat, self.lengths = flat, lengths
        self.starts = np.cumsum(lengths) - lengths  # where each text begins

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, which: np.ndarray | slice) -> "TokenPart":
        """The texts of a mask, a slice or indices."""
        index = np.arange(len(self.lengths))[which]
        lengths = self.lengths[index]
        shift = np.repeat(self.starts[index] - np.cumsum(lengths) + lengths, lengths)
        return TokenPart(self.flat[shift + np.arange(len(shift))], lengths)

    def text(self, index: int) -> np.ndarray:
        """The vectors [tokens, d] of one text."""
        return self.flat[self.starts[index] : self.starts[index] + self.lengths[index]]


def token_parts(
    texts: Texts, store: TokenStore, rows: np.ndarray, is_query: bool, size: int
) -> Iterator[tuple[np.ndarray, TokenPart]]:
    """The texts `rows`, ascending, of a store in parts of about `size` bytes (0: one): their rows, and vectors.

    Equal texts get equal vectors, to the bit: each distinct one is encoded once. Raises StudyError, naming the text,
    for a vector that is not finite.
    """
    distinct, text_index = store.unique(rows)
    of_text = np.argsort(text_index, kind="stable")
    edges = np.searchsorted(text_index[of_text], np.arange(len(distinct) + 1))
    position = np.empty(len(store), np.int64)  # among the distinct texts, of a row
    position[distinct] = np.arange(len(distinct))
    batches = store.length_sorted(distinct, tokens_a_batch(texts.model, texts.device))
    found: list[tuple[np.ndarray, TokenPart]] = []
    held = 0
    doing = f"encode {'queries' if is_query else 'passages'}"
    for batch in progress(batches, doing, "batch"):
        part = _encoded(texts, store, batch, is_query)
        found.append((position[batch], part))
        held += part.flat.nbytes
        if size and held >= size:
            yield _with_repeats(found, rows, of_text, edges)
            found, held = [], 0
    if found:
        yield _with_repeats(found, rows, of_text, edges)


def _encoded(texts: Texts, store: TokenStore, rows: np.ndarray, is_query: bool) -> TokenPart:
    model = texts.model
    assert isinstance(model, LateInteraction), "its texts are token vectors"
    packed = pack((store, rows)).to(texts.device)
    with torch.inference_mode(), texts.precision():
        vectors = model(packed).float()
    lengths = packed.given_lengths
    owner = np.repeat(np.arange(len(rows)), lengths)
    if not is_query:
        counted = model.counted(packed.ids[packed.given_tokens])
        vectors, owner = vectors[counted], owner[counted.cpu().numpy()]
    flat = vectors.cpu().numpy()
    infinite = np.flatnonzero(~np.isfinite(flat).all(1))
    if len(infinite):
        raise StudyError(f"the model gives {store.ids[rows[owner[infinite[0]]]]} a vector that is not finite")
    return TokenPart(flat, np.bincount(owner, minlength=len(rows)))


def _with_repeats(
    found: list[tuple[np.ndarray, TokenPart]], rows: np.ndarray, of_text: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, TokenPart]:
    """The rows, ascending, at which distinct texts occur, and a copy of the vectors for each."""
    texts = np.concatenate([batch for batch, _ in found])
    flat, lengths = (np.concatenate([getattr(part, name) for _, part in found]) for name in ("flat", "lengths"))
    part = TokenPart(flat, lengths)
    counts = edges[texts + 1] - edges[texts]
    shift = np.repeat(edges[texts] - np.cumsum(counts) + counts, counts)
    occurrences = rows[of_text[shift + np.arange(len(shift))]]
    ascending = np.argsort(occurrences, kind="stable")
    return occurrences[ascending], part[np.repeat(np.arange(len(texts)), counts)[ascending]]
