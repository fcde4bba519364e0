"""A query and a passage as one text, packed without padding."""

from typing import NamedTuple

import numpy as np
import torch

from rankscale.models.packing import Packed, longest_first
from rankscale.text.token_store import TokenStore


class PairFrame(NamedTuple):
    """What a tokenizer puts before, between and after two texts, and the types of all five parts' tokens.

    `types`: of each token before, of the first text's, of each between, of the second's, of each after.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], int, list[int], int, list[int]]

    @property
    def extra(self) -> int:
        """How many tokens of a pair are special."""
        return len(self.before) + len(self.between) + len(self.after)


class Joined(NamedTuple):
    """How a model reads queries and passages that is given each pair of them as one text."""

    frame: PairFrame

    def pack(self, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray) -> Packed:
        """Queries at `rows` [n], each with its documents [n, k]: n k pairs."""
        return pack_pairs(
            self.frame, queries, np.repeat(rows, document_rows.shape[1]), documents, document_rows.ravel()
        )

    def lengths(
        self, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray
    ) -> np.ndarray:
        """Tokens int64 [n k] of the pairs."""
        return pair_lengths(
            self.frame, queries, np.repeat(rows, document_rows.shape[1]), documents, document_rows.ravel()
        )


def pair_lengths(
    frame: PairFrame, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray
) -> np.ndarray:
    """Tokens int64 [n] of pairs of a query and a document, special ones included."""
    return queries.content_lengths[rows] + documents.content_lengths[document_rows] + frame.extra


def pack_pairs(
    frame: PairFrame, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray
) -> Packed:
    """Pairs of the query at each of `rows` [n] and the document at each of `document_rows` [n], with their types."""
    lengths = pair_lengths(frame, queries, rows, documents, document_rows)
    ids, types = np.empty((2, int(lengths.sum())), np.int64)
    place = np.cumsum(lengths) - lengths  # where the next part of each pair begins
    parts: tuple[tuple, ...] = (
        (frame.before, frame.types[0]),
        (queries, rows, frame.types[1]),
        (frame.between, frame.types[2]),
        (documents, document_rows, frame.types[3]),
        (frame.after, frame.types[4]),
    )
    for part in parts:
        if len(part) == 2:
            for token, kind in zip(*part, strict=True):
                ids[place], types[place] = token, kind
                place = place + 1
            continue
        store, own, kind = part
        content = store.content_lengths[own]
        position = np.arange(int(content.sum())) - np.repeat(np.cumsum(content) - content, content)
        index = np.repeat(place, content) + position
        ids[index], types[index] = store.flat[np.repeat(store.starts[own], content) + position], kind
        place = place + content
    return longest_first(ids, lengths, types=torch.from_numpy(types))
