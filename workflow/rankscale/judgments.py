"""Who answers what: judged passages by their rows."""

import numpy as np
import pyarrow as pa

from rankscale.errors import StudyError


def positives_of(qrels: pa.Table, queries: pa.Array, documents: pa.Array) -> list[np.ndarray]:
    """Rows int64 of the positive documents of each query. Raises StudyError for an id that is not there."""
    place = dict(zip(documents.to_pylist(), range(len(documents)), strict=True))
    found: dict[str, list[int]] = {}
    for query, document, grade in zip(*(qrels[c].to_pylist() for c in ("query_id", "doc_id", "grade")), strict=True):
        if grade <= 0:
            continue
        if document not in place:
            raise StudyError(f"qrels name document {document}, which the collection lacks")
        found.setdefault(query, []).append(place[document])
    return [np.array(found.get(q, []), np.int64) for q in queries.to_pylist()]
