"""Whether mined lists tell anything: what a miner leaves that cannot read the texts is counted, and refused if much.

Such lists look like any other: a text without a known word has a zero vector, all scores are 0, and the first documents
of the collection pass for its nearest.
"""

from collections import Counter

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.search.exact_search import TopK
from rankscale.search.hard_negatives import NegativeLists

MOST = 0.1  # of the lists, or of the negatives: more is refused


class ListQuality:
    """Counts over the mined lists of a shard, by name as the manifest has them; what lists are filled with is no part.

    `zero_queries`: queries whose vector is zero. `tied_lists`: lists more than half of which have one score.
    `useless_lists`: either. `copies`: negatives whose vector is the query's (`copies_of_query`), or
    that of one of its positives (`copies_of_positive`).
    """

    def __init__(self) -> None:
        names = ("lists", "zero_queries", "tied_lists", "useless_lists", "negatives")
        self.counts = Counter(dict.fromkeys((*names, "copies", "copies_of_query", "copies_of_positive"), 0))
        self.example = ""

    def add(
        self, names: list[str], queries: np.ndarray, lists: NegativeLists, positives: list[np.ndarray], best: TopK
    ) -> None:
        """Take in the lists of `queries` [q, d], as they were mined from what `best` has searched."""
        mined = np.arange(lists.rows.shape[1]) < lists.mined[:, None]
        # Scores fall: what more than half of a list shares stands in its middle.
        middle = np.take_along_axis(lists.scores, np.maximum(lists.mined[:, None] - 1, 0) // 2, 1)
        same = ((lists.scores == middle) & mined).sum(1)
        zero, tied = ~queries.any(1), (lists.mined > 1) & (2 * same > lists.mined)
        useless = np.flatnonzero(zero | tied)
        if len(useless) and not self.example:
            self.example = names[useless[0]]
        first, own = best.first_rows(lists.rows), best.rows_of(queries)
        owner = np.repeat(np.arange(len(names)), [len(p) for p in positives])
        judged = best.first_rows(np.concatenate(positives)) if len(owner) else owner
        of_query = (first == own[:, None]) & mined
        of_positive = np.isin(np.arange(len(names))[:, None] << 32 | first, owner << 32 | judged) & mined
        self.counts.update(
            lists=len(names),
            zero_queries=int(zero.sum()),
            tied_lists=int(tied.sum()),
            useless_lists=len(useless),
            negatives=int(lists.mined.sum()),
            copies=int((of_query | of_positive).sum()),
            copies_of_query=int(of_query.sum()),
            copies_of_positive=int(of_positive.sum()),
        )

    def refuse_degenerate(self) -> None:
        """Raise StudyError where more than a tenth of the lists, or of the negatives, tells nothing."""
        n = self.counts
        if n["useless_lists"] > MOST * n["lists"]:
            raise StudyError(
                f"miner.encoder: tells nothing of {n['useless_lists']} of {n['lists']} queries, e.g. {self.example}: "
                f"the vectors of {n['zero_queries']} are zero, and {n['tied_lists']} lists have one score more than "
                "half of the way; name an encoder that reads these texts, or do without mined negatives "
                "(training.negatives: random, evaluation.candidates without hard)"
            )
        if n["copies"] > MOST * n["negatives"]:
            raise StudyError(
                f"miner: {n['copies']} of {n['negatives']} negatives have the vector of their query or of one of its "
                "positives; leave them out by miner.relative_margin, or name an encoder that tells them apart"
            )
