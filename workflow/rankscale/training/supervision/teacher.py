"""A teacher's scores for a run: the examples that have them, and no others."""

import numpy as np
import pyarrow as pa

from rankscale.core.errors import StudyError
from rankscale.training.supervision.scored_pairs import ScoredPairs
from rankscale.training.training_data import TrainingData


def with_scores_only(data: TrainingData, teacher: ScoredPairs, ids: pa.Array, per_query: int) -> TrainingData:
    """The data with the positives and mined negatives that the teacher scored.

    Mined lists are cut to the shortest of what is left. Raises StudyError, naming the query of `ids`, where no positive
    or fewer than `per_query` negatives are left.
    """
    assert data.mined is not None, "negatives that are not mined have no teacher"
    counts = [len(rows) for rows in data.positives]
    owner = np.repeat(np.arange(len(counts)), counts)
    scored = ~np.isnan(teacher.of(owner, np.concatenate(data.positives)[:, None])[:, 0])
    edges = np.cumsum(counts)[:-1]
    positives = [rows[has] for rows, has in zip(data.positives, np.split(scored, edges), strict=True)]
    for position, rows in enumerate(positives):
        if not len(rows):
            raise StudyError(f"training.teacher: it has no score for a positive of training query {ids[position]}")
    has_score = ~np.isnan(teacher.of(np.arange(len(counts)), data.mined))
    left = has_score.sum(1)
    if left.min() < per_query:
        raise StudyError(
            f"training.teacher: it scored {left.min()} of the mined negatives of training query "
            f"{ids[int(left.argmin())]}, negatives_per_query {per_query} are asked for"
        )
    order = np.argsort(~has_score, axis=1, kind="stable")[:, : left.min()]
    scores = None if data.mined_scores is None else np.take_along_axis(data.mined_scores, order, 1)
    mined = np.take_along_axis(data.mined, order, 1)
    return data._replace(positives=positives, mined=mined, mined_scores=scores)
