"""Token ids of a collection's texts, ready for a model: read once, cut and given their special tokens on the fly."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables


class SpecialTokens(NamedTuple):
    """What a tokenizer puts before and after a text, and what fills a batch."""

    before: list[int]
    after: list[int]
    pad: int
    vocabulary: int


TOKENIZER = "tokenizer"  # in a manifest of token ids, and among a checkpoint's facts


def tokenizer_digest(folder: Path) -> str | None:
    """What tells the vocabulary of the token ids in `folder` from others; None where an older version wrote them."""
    digest = manifests.read_manifest(folder / manifests.MANIFEST).get(TOKENIZER)
    return None if digest is None else str(digest)


def refuse_other_tokenizer(
    checkpoint: Path, facts: Mapping[str, Any], reads: int, special: SpecialTokens, folder: Path
) -> None:
    """Raise StudyError unless the token ids in `folder` are of the tokenizer that a checkpoint was trained with.

    `reads`: how many tokens it knows. Another vocabulary of no more words would be read without a word.
    """
    trained, there = facts.get(TOKENIZER), tokenizer_digest(folder)
    if trained and there and trained != there:
        raise StudyError(f"{checkpoint}: was trained with another tokenizer than that of {folder}; name its own")
    if special.vocabulary > reads:
        raise StudyError(f"{checkpoint}: knows {reads} tokens, {folder} has {special.vocabulary}; name its tokenizer")


class TokenStore:
    """Texts as token ids: `flat` [tokens], `offsets` int64 [n + 1], each cut to `longest` when read.

    `content_lengths` int64 [n] are those of the cut texts; `lengths` count the special tokens too, as `longest` does.
    Raises StudyError if nothing but those would be left.
    """

    def __init__(
        self, ids: pa.Array, flat: np.ndarray, offsets: np.ndarray, special: SpecialTokens, longest: int
    ) -> None:
        self.ids, self.flat, self.special, self.longest = ids, flat, special, longest
        self.fill, self.fill_is_hidden = 0, False
        room = longest - len(special.before) - len(special.after)
        if room < 1:
            raise StudyError(f"a length of {longest} tokens leaves no room between the special tokens")
        self.starts = offsets[:-1]
        self.content_lengths = np.minimum(np.diff(offsets), room)
        self.lengths = self.content_lengths + len(special.before) + len(special.after)

    def filled(self, token: int, hidden: bool) -> "TokenStore":
        """The same texts, each with `token` behind it up to the longest that is read.

        `hidden`: no token of a text attends to what it is filled with.
        """
        store = copy.copy(self)
        store.fill, store.fill_is_hidden = token, hidden
        store.lengths = np.full_like(self.lengths, self.longest)
        return store

    @classmethod
    def of(cls, ids: pa.Array, lists: pa.ListArray, special: SpecialTokens, longest: int) -> "TokenStore":
        """Of texts tokenized just now."""
        return cls(ids, lists.values.to_numpy(), lists.offsets.to_numpy().astype(np.int64), special, longest)

    @classmethod
    def read(cls, folder: Path, unit: str, longest: int) -> "TokenStore":
        """The `documents` or `queries` that the tokenize stage wrote to `folder`: 2 or 4 bytes a token in memory."""
        manifests.refuse_changed(folder / manifests.MANIFEST, f"{unit}.parquet", "special.json")
        try:
            special = SpecialTokens(**json.loads((folder / "special.json").read_text(encoding="utf-8")))
            if not 0 < special.vocabulary < 1 << 31:
                raise ValueError(f"a vocabulary of {special.vocabulary}")
            if any(not 0 <= token < special.vocabulary for token in (*special.before, *special.after)):
                raise ValueError("a special token outside of the vocabulary")
        except (OSError, ValueError, TypeError) as error:
            raise StudyError(f"{folder}/special.json: cannot be read ({error}); remake it with tokenize") from error
        path, ids, flat, lengths = folder / f"{unit}.parquet", [], [], []
        kind = pa.uint16() if special.vocabulary <= 1 << 16 else pa.int32()
        for batch in tables.scan("tokens", path):
            lists = batch["ids"].combine_chunks()
            bounds = pc.min_max(lists.flatten()).as_py()
            if len(lists.flatten()) and not 0 <= bounds["min"] <= bounds["max"] < special.vocabulary:
                raise StudyError(f"{path}: has token {bounds}, outside of the vocabulary of {special.vocabulary}")
            ids.append(batch["id"].combine_chunks())
            flat.append(lists.flatten().cast(kind).to_numpy())
            lengths.append(np.diff(lists.offsets.to_numpy()))
        if not ids:
            raise StudyError(f"{path}: has no texts; remake it with tokenize")
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
        return cls(pa.concat_arrays(ids), np.concatenate(flat), offsets, special, longest)

    def __len__(self) -> int:
        return len(self.starts)

    def with_special_tokens(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids int64 [tokens] of the texts `rows`, special tokens included, one after the other; lengths int64 [n]."""
        lengths, content = self.lengths[rows], self.content_lengths[rows]
        first = np.cumsum(lengths) - lengths
        ids = np.full(int(lengths.sum()), self.fill, np.int64)
        for i, token in enumerate(self.special.before):
            ids[first + i] = token
        position = np.arange(int(content.sum())) - np.repeat(np.cumsum(content) - content, content)  # in its text
        body = np.repeat(first + len(self.special.before), content) + position
        ids[body] = self.flat[np.repeat(self.starts[rows], content) + position]
        for i, token in enumerate(self.special.after):
            ids[first + len(self.special.before) + content + i] = token
        return ids, lengths

    def hidden(self, rows: np.ndarray) -> np.ndarray:
        """Which tokens bool [tokens] of the texts `rows`, as `with_special_tokens` has them, none attends to."""
        lengths = self.lengths[rows]
        if not self.fill_is_hidden:
            return np.zeros(int(lengths.sum()), bool)
        own = self.content_lengths[rows] + len(self.special.before) + len(self.special.after)
        position = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return position >= np.repeat(own, lengths)

    def unique(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of `rows`, one per distinct text as the model sees it, and for each row which of those it is.

        Equal texts must get equal vectors, to the bit: whether their scores tie is a result.
        """
        longest = int(self.content_lengths[rows].max(initial=0))
        weights = np.random.Generator(np.random.Philox(0)).integers(1, 2**63, longest + 1, dtype=np.uint64)
        sums = np.empty(len(rows), np.uint64)
        for start in range(0, len(rows), 1 << 16):
            block = rows[start : start + (1 << 16)]
            column = np.arange(int(self.content_lengths[block].max()))
            inside = column < self.content_lengths[block, None]
            ids = np.zeros(inside.shape, np.uint64)
            ids[inside] = self.flat[(self.starts[block, None] + column)[inside]].astype(np.uint64) + 1
            sums[start : start + len(block)] = (ids * weights[: len(column)]).sum(1, dtype=np.uint64)
        _, first, text_index = np.unique(sums, return_index=True, return_inverse=True)
        for i in np.flatnonzero(first[text_index] != np.arange(len(rows))):
            a, b = rows[i], rows[first[text_index[i]]]
            if not np.array_equal(self.text(a), self.text(b)):  # a clash of sums: keep it as a text of its own
                first, text_index[i] = np.append(first, i), len(first)
        return rows[first], text_index

    def text(self, row: int) -> np.ndarray:
        """Ids of one text as cut, without special tokens."""
        return self.flat[self.starts[row] : self.starts[row] + self.content_lengths[row]]

    def length_sorted(self, rows: np.ndarray, budget: int) -> list[np.ndarray]:
        """`rows` in batches of like length, longest first, each of at most `budget` tokens (one text at least)."""
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        batches, start = [], 0
        while start < len(rows):
            size = max(1, budget // int(self.lengths[rows[start]]))
            batches.append(rows[start : start + size])
            start += size
        return batches
