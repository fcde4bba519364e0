"""What is checked of a config's recipe: whether a loss, weights and filters have what they need.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from rankscale.collection.registry import source_kind
from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, Layout
from rankscale.study import grid, variants
from rankscale.study.checks.inputs import refuse_missing
from rankscale.study.teachers import MINER, MODEL_KEYS, is_own, teacher_kind

HIDING = ("range_min", "absolute_margin", "relative_margin", "max_score")  # of the miner: what leaves documents out
IN_BATCH = "+in_batch"  # of training.negatives


def refuse_teacher(study: dict[str, Any], needs: Collection[str], defaults: dict[str, Any]) -> None:
    """Raise StudyError for a loss without the teacher that it needs, one with a teacher for nothing, and a lost one.

    `defaults` are those of a teacher's keys.
    """
    training, teacher = study["training"], study["training"]["teacher"]
    name = training["objective"]["name"]
    if not teacher:
        if "teacher" in needs:
            raise StudyError(
                f"training.teacher: {name} needs one; give scores (miner, a file or a checkpoint) or a model"
            )
        return
    if not teacher["scores"] and not teacher["model"]:
        raise StudyError("training.teacher.scores: is missing; give scores, or a model that reads the texts")
    if teacher["scores"] and teacher["model"]:
        raise StudyError("training.teacher: give scores or a model, one of the two")
    if "teacher" not in needs:
        raise StudyError(f"training.teacher: {name} takes no teacher; leave it out, or take another objective")
    if training["negatives"] == "random":
        raise StudyError("training.negatives: a teacher scores mined negatives; random ones have no scores")
    if teacher["model"]:
        _refuse_teaching_model(teacher, training, study["miner"]["top_k"])
        return
    changed = next((key for key in MODEL_KEYS if teacher[key] != defaults[key]), None)
    if changed:
        raise StudyError(f"training.teacher.{changed}: is of a model that reads texts; leave it out, or give a model")
    is_made = teacher_kind(teacher) == MINER or is_own(study, teacher)
    if not is_made and not Path(teacher["scores"]).expanduser().is_file():
        raise StudyError(f"training.teacher.scores: {teacher['scores']}: there is no such file")
    tokenizers = {study["tokenizer"]["name"], *(grid.tokenizer_of(study, model)[0] for model in study["models"])}
    if teacher["tokenizer"] and teacher_kind(teacher) != "checkpoint":
        raise StudyError("training.teacher.tokenizer: only a checkpoint reads one; leave it out")
    if teacher["tokenizer"] not in {None, *tokenizers}:
        known = ", ".join(sorted(tokenizers))
        raise StudyError(f"training.teacher.tokenizer: {teacher['tokenizer']} is none of this study's: {known}")


def _refuse_teaching_model(teacher: dict[str, Any], training: dict[str, Any], mined: int) -> None:
    refuse_missing(teacher["model"], "training.teacher.model: ")
    if teacher["tokenizer"]:
        raise StudyError("training.teacher.tokenizer: a model reads texts by its own; leave it out")
    if teacher["top_k"] and not training["negatives_per_query"] <= teacher["top_k"] <= mined:
        raise StudyError(
            f"training.teacher.top_k: {teacher['top_k']} is not between training.negatives_per_query, "
            f"{training['negatives_per_query']}, and miner.top_k, {mined}"
        )


def refuse_own_teachers(study: dict[str, Any]) -> None:
    """Raise StudyError for a teacher that is to be a run of this study and is none, or that is taught by one itself."""
    layout, by_path = Layout.of(study), {}
    for run in grid.runs(study):
        by_path[layout.checkpoint(run, FINAL)] = run.variant
    teachers = {name: variants.study_of(study, name)["training"]["teacher"] for name in variants.names(study)}
    taught = {name for name, teacher in teachers.items() if teacher and is_own(study, teacher)}
    starts = variants.starts(study)  # what goes on from one that is taught is taught too
    for name in taught:
        scores = teachers[name]["scores"]
        if scores not in by_path:
            raise StudyError(f"training.teacher.scores: {scores}: is the end of no run of this study")
        if {by_path[scores], starts.get(by_path[scores])} & taught:
            raise StudyError(
                f"training.teacher.scores: {scores}: its variant, {by_path[scores]}, is taught by this study itself"
            )


def refuse_weights(study: dict[str, Any]) -> None:
    """Raise StudyError for weights, filters and negatives that the miner's lists cannot give."""
    training, miner = study["training"], study["miner"]
    if training["negatives"].startswith("mixed") and training["negatives_per_query"] < 2:
        raise StudyError("training.negatives_per_query: mixed negatives are made of two, 2 at least are needed")
    for key in ("curriculum", "propensity", "consistency_filter"):
        if not training[key]:
            continue
        if key != "consistency_filter" and training["negatives"] == "random":
            raise StudyError(f"training.{key}: goes by mined negatives, training.negatives are random")
        hiding = [name for name in HIDING if miner[name]]
        if hiding:
            raise StudyError(
                f"training.{key}: goes by the positive's place among the miner's nearest, some of which "
                f"miner.{hiding[0]} leaves out"
            )
    if training["consistency_filter"] and training["consistency_filter"] > miner["top_k"]:
        raise StudyError("training.consistency_filter: more than miner.top_k keeps")


def refuse_dynamic(training: dict[str, Any], needs: Collection[str]) -> None:
    """Raise StudyError for a loss that cannot take negatives found at each step, and for a start without them."""
    name = training["objective"]["name"]
    if training["negatives"] != variants.DYNAMIC:
        if training["start_from"]:
            raise StudyError(
                f"training.start_from: only dynamic negatives go on from another variant's runs, not "
                f"{training['negatives']}; leave it out"
            )
        return
    if "teacher" in needs:
        raise StudyError(
            f"training.negatives: {name} needs a teacher's scores, and dynamic negatives, found at each step, have "
            "none; choose mined ones, or another loss"
        )
    if "in_batch" in needs:
        raise StudyError(
            f"training.negatives: {name} needs the passages of the whole batch, dynamic negatives are each query's "
            f"own; choose mined{IN_BATCH}, or another loss"
        )


def refuse_objective(study: dict[str, Any], needs: Collection[str]) -> None:
    """Raise StudyError for a loss without what it `needs`, and for a temperature that cannot be trained from."""
    training, source = study["training"], study["collection"]["source"]
    name, in_batch = training["objective"]["name"], training["negatives"].endswith(IN_BATCH)
    if "in_batch" in needs and not in_batch:
        raise StudyError(f"training.negatives: {name} needs the passages of the whole batch; choose mined{IN_BATCH}")
    if "own_negatives" in needs and in_batch:
        raise StudyError(f"training.negatives: {name} takes a query's own negatives only; leave out {IN_BATCH}")
    if "grades" in needs and not source_kind(source).may_be_graded:
        raise StudyError(
            f"training.objective: {name} needs graded judgments; those of {source} to train on are all alike"
        )
    if training["learned_temperature"] and not 1 <= training["inverse_temperature"] <= 100:
        raise StudyError("training.inverse_temperature: one that is trained (learned_temperature) lies in 1 to 100")
