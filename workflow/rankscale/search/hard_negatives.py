"""Which of a query's nearest documents serve as its hard negatives, and what becomes of a list that is too short."""

from typing import NamedTuple

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator

SPARE = (2, 32, 512)  # so many times what a fill needs is drawn, one after the other: some may not pass the filters
MANY = 1 << 20  # documents; of more, draws are not a whole shuffle


class Filters(NamedTuple):
    """Which of a query's nearest documents are taken for false negatives; `None` and the window's ends take none.

    Ranks are counted from 1 after judged positives are removed. The positive whose score a margin is measured from is
    the query's lowest: whatever scores as a relevant document does is suspect.
    """

    range_min: int = 0
    range_max: int = 0
    absolute_margin: float | None = None
    relative_margin: float | None = None
    max_score: float | None = None

    def too_high(self, scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Which `scores` [q, k] are too near to the positive's [q]. Margins work for negative inner products too.

        What rounding cannot tell from the limit is: the same passage twice must not be judged by its last bit.
        """
        limit = np.full(len(scores), np.inf if self.max_score is None else self.max_score)
        if self.absolute_margin is not None:
            limit = np.minimum(limit, positive - self.absolute_margin)
        if self.relative_margin is not None:
            limit = np.minimum(limit, positive - self.relative_margin * np.abs(positive))
        rounding = 1e-6 * np.where(np.isfinite(limit), np.abs(limit), 0)
        return scores > (limit - rounding)[:, None]

    def use_positives(self) -> bool:
        """Whether a filter looks at the positives' scores."""
        return self.absolute_margin is not None or self.relative_margin is not None


class NegativeLists(NamedTuple):
    """Hard negatives of some queries: rows int32, scores float32 [q, top_k], and how many were mined int32 [q]."""

    rows: np.ndarray
    scores: np.ndarray
    mined: np.ndarray


def select(
    rows: np.ndarray, scores: np.ndarray, positives: list[np.ndarray], lowest: np.ndarray, top_k: int, filters: Filters
) -> tuple[NegativeLists, dict[str, int]]:
    """The first `top_k` of each ranking [q, k] that are no positives and pass the filters, and how many did not.

    `lowest` float32 [q] is the lowest score of each query's positives. Places beyond `mined` hold -1.
    """
    drop = rows < 0
    counts = {}
    which = np.repeat(np.arange(len(rows)), [len(p) for p in positives])
    # Query and row as one number each, and a search: comparing all with all takes the square of many positives.
    judged = np.sort(which << 32 | np.concatenate(positives)) if len(which) else np.array([-1])
    pairs = np.arange(len(rows))[:, None] << 32 | rows
    hits = (judged[np.minimum(np.searchsorted(judged, pairs), len(judged) - 1)] == pairs) & ~drop
    drop |= hits
    counts["judged positive"] = int(hits.sum())
    rank = np.cumsum(~drop, axis=1, dtype=np.int32)
    for name, wrong in (
        ("before the rank window", rank <= filters.range_min),
        ("after the rank window", rank > filters.range_max),
        ("too near to a positive", filters.too_high(scores, lowest)),
    ):
        counts[name] = int((wrong & ~drop).sum())
        drop |= wrong
    keep = ~drop
    order = np.cumsum(keep, axis=1, dtype=np.int32) - 1
    keep &= order < top_k
    lists = NegativeLists(
        np.full((len(rows), top_k), -1, np.int32), np.zeros((len(rows), top_k), np.float32), keep.sum(1, dtype=np.int32)
    )
    query, _ = np.nonzero(keep)
    lists.rows[query, order[keep]], lists.scores[query, order[keep]] = rows[keep], scores[keep]
    return lists, counts


def drop_rows(rows: np.ndarray, wrong: list[np.ndarray]) -> int:
    """Put -1 in each ranking of `rows` [q, k] in the place of what is `wrong` for its query; how many there were."""
    dropped = 0
    for ranking, own in zip(rows, wrong, strict=True):
        if len(own):
            is_wrong = np.isin(ranking, own)
            ranking[is_wrong] = -1
            dropped += int(is_wrong.sum())
    return dropped


def draw_fill_documents(
    names: list[str], ranked: np.ndarray, need: np.ndarray, free: np.ndarray, seed: int, spare: int
) -> list[np.ndarray]:
    """For each query that lacks `need` documents, `spare` times as many rows of `free`, none in `ranked` [q, k].

    Seeded by the query's name, in the order drawn: a longer list begins as a shorter one. Fewer where there are no
    more.
    """
    drawn = []
    for name, own, n in zip(names, ranked, need, strict=True):
        random, most = generator(seed, "fill", name), spare * int(n)
        if not n or len(free) <= MANY:
            order = random.permutation(len(free)) if n else np.empty(0, np.int64)
        else:
            # Hardly any is drawn twice, and shuffling millions for each query would take days.
            order = random.integers(len(free), size=2 * (most + len(own)))
            order = order[np.sort(np.unique(order, return_index=True)[1])]
        rows = free[order]
        drawn.append(rows[~np.isin(rows, own)][:most])
    return drawn


def fill_short_lists(
    lists: NegativeLists, drawn: list[np.ndarray], scores: np.ndarray, lowest: np.ndarray, filters: Filters
) -> None:
    """Put drawn documents behind the mined ones, as far as they pass the filters; `scores` are all theirs in a row."""
    for i, (rows, own) in enumerate(zip(drawn, np.split(scores, np.cumsum([len(d) for d in drawn])[:-1]), strict=True)):
        start, room = lists.mined[i], lists.rows.shape[1] - lists.mined[i]
        fine = np.flatnonzero(~filters.too_high(own[None], lowest[i : i + 1])[0])[:room]
        lists.rows[i, start : start + len(fine)] = rows[fine]
        lists.scores[i, start : start + len(fine)] = own[fine]


def refuse_short(names: list[str], lists: NegativeLists, filled: bool) -> None:
    """Raise StudyError, naming a query, where a list is still not full."""
    short = np.flatnonzero((lists.rows < 0).any(1))
    if len(short):
        n = int((lists.rows[short[0]] >= 0).sum())
        raise StudyError(
            f"miner.top_k: {lists.rows.shape[1]} negatives asked for, but query {names[short[0]]} has only {n} "
            f"documents that are not its positives and pass the filters, and it is not the only one ({len(short)} of "
            f"{len(names)} here); lower it, raise miner.range_max or loosen the filters"
            + ("" if filled else ", or set miner.short to fill")
        )
