"""Texts side by side without padding: what every encoder reads, and how attention finds its way in it."""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from rankscale.text.token_store import TokenStore

# Padding that one attention call may compute, in numbers of a state (tokens times width): more calls would cost more.
PADDING = 1 << 17


class Group(NamedTuple):
    """Neighbouring texts of like length, which attention takes padded to the longest of them."""

    texts: slice
    tokens: slice
    shape: tuple[int, int]
    positions: torch.Tensor | None  # where the tokens lie in the padded group; None where nothing is padded
    mask: torch.Tensor | None

    def pad(self, states: torch.Tensor) -> torch.Tensor:
        """States [tokens, ...] of the group to [n, width, ...], zero where there is no token."""
        if self.positions is not None:
            empty = states.new_zeros(self.shape[0] * self.shape[1], *states.shape[1:])
            states = empty.index_copy(0, self.positions, states)
        return states.view(*self.shape, *states.shape[1:])

    def unpad(self, states: torch.Tensor) -> torch.Tensor:
        """The way back: [n, width, ...] to [tokens, ...]."""
        flat = states.reshape(-1, *states.shape[2:])
        return flat if self.positions is None else flat.index_select(0, self.positions)


class Packed:
    """Token ids of n texts, one after the other, the longest text first.

    `ids` and `positions` int64 [tokens]; `lengths` int64 numpy [n], descending; `back` int64 [n] says for each text
    in the order in which it was given where it stands here. `hidden` bool [tokens] marks what no token attends to
    (None: nothing is hidden), `types`
    int64 [tokens] are those of the texts' parts (None: all are of the first).
    """

    def __init__(
        self,
        ids: torch.Tensor,
        lengths: np.ndarray,
        back: torch.Tensor,
        hidden: torch.Tensor | None = None,
        types: torch.Tensor | None = None,
    ) -> None:
        self.ids, self.lengths, self.back, self.hidden, self.types = ids, lengths, back, hidden, types
        self.given_lengths = lengths[back.numpy()]  # of the texts in the order in which they were given
        self._groups_by_width: dict[int, list[Group]] = {}
        ends = np.cumsum(lengths)
        self.positions = torch.from_numpy(np.arange(len(ids)) - np.repeat(ends - lengths, lengths))
        self.bounds = torch.from_numpy(np.concatenate([[0], ends]))

    def to(self, device: torch.device) -> "Packed":
        """The same on a device; copies to a GPU do not wait."""
        if device.type != "cpu":
            for name in ("ids", "positions", "bounds", "back", "hidden", "types"):
                if getattr(self, name) is not None:
                    setattr(self, name, getattr(self, name).pin_memory().to(device, non_blocking=True))
        return self

    @property
    def starts(self) -> torch.Tensor:
        """Where each text begins, int64 [n]."""
        return self.bounds[:-1]

    @cached_property
    def edges(self) -> torch.Tensor:
        """Where each text begins and the last one ends, int32 [n + 1]."""
        return self.bounds.to(torch.int32)

    @cached_property
    def given_tokens(self) -> torch.Tensor:
        """Where the tokens int64 [tokens] of the texts stand, one text after the other as they were given."""
        back, lengths = self.back.cpu().numpy(), self.given_lengths
        ends = np.cumsum(self.lengths)
        starts = (ends - self.lengths)[back]
        shift = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return torch.from_numpy(shift + np.arange(len(shift))).to(self.ids.device)

    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids int64 [n, width], 0 where there is no token, and where there is one, bool [n, width], hidden ones too."""
        inside = self.positions.new_tensor(self.lengths)[:, None] > torch.arange(
            int(self.lengths[0]), device=self.ids.device
        )
        ids = self.ids.new_zeros(inside.shape)
        ids[inside] = self.ids
        return ids, inside

    def mean(self, states: torch.Tensor) -> torch.Tensor:
        """Mean float32 [n, hidden] of each text's states [tokens, hidden]."""
        every = torch.arange(len(states), device=states.device)
        return functional.embedding_bag(every, states.float(), self.starts, mode="mean")

    def groups(self, hidden: int) -> list[Group]:
        """The texts in groups of like length, for attention over states of a width; made once for all layers."""
        if hidden not in self._groups_by_width:
            self._groups_by_width[hidden] = list(self._groups(hidden))
        return self._groups_by_width[hidden]

    def _groups(self, hidden: int) -> Iterator[Group]:
        lengths, room = self.lengths, max(1, PADDING // hidden)
        first, token = 0, 0
        while first < len(lengths):
            width = int(lengths[first])
            waste = np.cumsum(width - lengths[first:])
            n = int(np.searchsorted(waste, room, side="right"))
            of_group = lengths[first : first + n]
            count = int(of_group.sum())
            positions = mask = None
            if count < n * width or self.hidden is not None:
                inside = np.arange(width) < of_group[:, None]
                positions = torch.from_numpy(np.flatnonzero(inside)).to(self.ids.device)
                mask = torch.from_numpy(inside[:, None, None, :]).to(self.ids.device)
                if self.hidden is not None:
                    seen = torch.zeros(n * width, dtype=torch.bool, device=self.ids.device)
                    mask = seen.index_copy(0, positions, ~self.hidden[token : token + count]).view(mask.shape)
            yield Group(slice(first, first + n), slice(token, token + count), (n, width), positions, mask)
            first, token = first + n, token + count


def pack(*parts: tuple[TokenStore, np.ndarray]) -> Packed:
    """The texts `rows` of each of several stores, in that order, as one pack."""
    texts = [store.with_special_tokens(rows) for store, rows in parts]
    ids, lengths = (np.concatenate(arrays) for arrays in zip(*texts, strict=True))
    hidden = None
    if any(store.fill_is_hidden for store, _ in parts):
        hidden = torch.from_numpy(np.concatenate([store.hidden(rows) for store, rows in parts]))
    return longest_first(ids, lengths, hidden)


class Apart:
    """How a model reads queries and passages that is given each as a text of its own."""

    def pack(self, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray) -> Packed:
        """Queries at `rows` [n], then their documents [n, k]."""
        return pack((queries, rows), (documents, document_rows.reshape(-1)))

    def lengths(
        self, queries: TokenStore, rows: np.ndarray, documents: TokenStore, document_rows: np.ndarray
    ) -> np.ndarray:
        """Tokens int64 [n + n k] of those texts."""
        return np.concatenate([queries.lengths[rows], documents.lengths[document_rows].reshape(-1)])


def longest_first(
    ids: np.ndarray, lengths: np.ndarray, hidden: torch.Tensor | None = None, types: torch.Tensor | None = None
) -> Packed:
    """The pack of texts of `lengths` int64 [n] with `ids` int64 [tokens], one after the other; see Packed."""
    order = np.argsort(-lengths, kind="stable")
    starts, ordered = (np.cumsum(lengths) - lengths)[order], lengths[order]
    shift = np.repeat(starts - (np.cumsum(ordered) - ordered), ordered)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    index = shift + np.arange(len(ids))
    beside = (None if part is None else part[torch.from_numpy(index)] for part in (hidden, types))
    return Packed(torch.from_numpy(ids[index]), ordered, torch.from_numpy(back), *beside)
