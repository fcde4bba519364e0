"""What a run is trained on, read and checked: its examples, and what is known of them."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables
from rankscale.training.objectives.base import Objective
from rankscale.training.options import TrainOptions
from rankscale.training.supervision.consistency import found_by_miner
from rankscale.training.supervision.labels import Labels
from rankscale.training.supervision.query_weights import QueryWeights
from rankscale.training.supervision.scored_pairs import ScoredPairs
from rankscale.training.supervision.teacher import with_scores_only
from rankscale.training.training_data import TrainingData, load_training_data


def read_examples(options: TrainOptions, objective: Objective) -> tuple[TrainingData, Labels]:
    """The examples of a run and what its loss is told of them. Raises StudyError for what is missing."""
    weighted = bool(options.curriculum or options.propensity)
    if options.source == "mixed" and options.negatives_per_query < 2:
        raise StudyError("training.negatives_per_query: mixed negatives are made of two, 2 at least are needed")
    keep = partial(_consistent, options) if options.consistency_filter else None
    data = load_training_data(
        options.collection,
        options.mined if options.reads_mined else None,
        options.split,
        options.train_queries,
        options.subsets,
        max(options.drawn, 1),
        options.seed,
        with_scores=weighted or options.source == "annealed",
        keep=keep,
    )
    ids = tables.read("queries", options.collection / "queries.parquet", ["query_id"])["query_id"].combine_chunks()
    ids = ids.take(pa.array(data.queries))
    teacher = None
    if "teacher" in objective.needs:
        paths = _given(options, options.teacher_scores, f"training.teacher: {options.objective} needs one")
        teacher = ScoredPairs.read(paths, ids, data.n_documents)
        data = with_scores_only(data, teacher, ids, options.negatives_per_query)
    weights = None
    if weighted:
        scores = ScoredPairs.read(_miner_scores(options), ids, data.n_documents)
        weights = QueryWeights(data, scores, options.curriculum, options.propensity)
    labels = Labels(
        seed=options.seed,
        teacher=teacher,
        grades=_grades(options, ids, data.n_documents) if "grades" in objective.needs else None,
        weights=weights,
        draws=objective.draws,
        mixtures=options.mixtures,
    )
    return data, labels


def _consistent(
    options: TrainOptions, positives: list[np.ndarray], ids: pa.Array, n_documents: int
) -> list[np.ndarray]:
    assert options.consistency_filter, "it is asked for"
    scores = ScoredPairs.read(_miner_scores(options), ids, n_documents)
    return found_by_miner(positives, scores, options.consistency_filter)


def _grades(options: TrainOptions, ids: pa.Array, n_documents: int) -> ScoredPairs:
    """The grades of all judged documents of the queries. Raises StudyError where they are all alike."""
    qrels = tables.read("qrels", options.collection / "qrels.parquet")
    qrels = qrels.filter(pc.equal(qrels["split"], options.split))
    index = pc.index_in(qrels["query_id"].combine_chunks(), ids)
    wanted = pc.is_valid(index)
    rows, grades = (qrels[name].combine_chunks().filter(wanted).to_numpy() for name in ("row", "grade"))
    if len(np.unique(grades[grades > 0])) < 2:
        raise StudyError(
            f"training.objective: {options.objective} needs graded judgments; those of the training queries of "
            f"{options.collection.name} are all alike"
        )
    return ScoredPairs(index.filter(wanted).to_numpy(), rows, grades, n_documents)


def _miner_scores(options: TrainOptions) -> list[Path]:
    keys = ("consistency_filter", "curriculum", "propensity")
    asking = next(key for key in keys if getattr(options, key))
    return _given(options, options.miner_scores, f"training.{asking}: needs the miner's scores of positives")


def _given(options: TrainOptions, paths: list[Path], need: str) -> list[Path]:
    """The tables; raises StudyError with the `need` for them where there is none, or they are another's."""
    if not paths:
        raise StudyError(f"{need}, and no table of scores was given")
    for path in paths:
        manifests.refuse_other_sources(path.with_suffix(".json"), options.collection)
    return paths
