"""Who answers what: judged passages by their rows."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.errors import StudyError


def positives_of(qrels: pa.Table, queries: pa.Array, documents: pa.Array) -> list[np.ndarray]:
    """Rows int64 of the positive documents of each query, ascending.

    Raises StudyError for a document that is not there; judgments of other queries are passed over.
    """
    qrels = qrels.filter(qrels["positive"])
    rows = pc.index_in(qrels["doc_id"].combine_chunks(), documents)
    if rows.null_count:
        unknown = qrels["doc_id"].filter(pc.is_null(rows))[0]
        raise StudyError(f"qrels name document {unknown}, which the collection lacks")
    which = pc.fill_null(pc.index_in(qrels["query_id"].combine_chunks(), queries), -1).to_numpy()
    rows = rows.to_numpy().astype(np.int64)
    order = np.lexsort((rows, which))
    edges = np.searchsorted(which[order], np.arange(len(queries) + 1))
    return [rows[order[a:b]] for a, b in pairwise(edges)]
