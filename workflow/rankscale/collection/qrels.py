"""Who answers what: judged passages by their rows."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def positives_of(qrels: pa.Table, queries: pa.Array) -> list[np.ndarray]:
    """Rows int64 of the positive documents of each query in any split of `qrels`, ascending, each once.

    Judgments of other queries are passed over.
    """
    qrels = qrels.filter(qrels["positive"])
    rows = qrels["row"].to_numpy().astype(np.int64)
    which = pc.fill_null(pc.index_in(qrels["query_id"].combine_chunks(), queries), -1).to_numpy().astype(np.int64)
    # A query that two splits judge has its positives twice.
    pairs = np.unique(which << 32 | rows)
    edges = np.searchsorted(pairs, np.arange(len(queries) + 1) << 32)
    return [pairs[a:b] & 0xFFFFFFFF for a, b in pairwise(edges)]
