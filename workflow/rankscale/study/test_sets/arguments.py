"""What the stages are told that look beyond a study's own test sets, as the words of their command lines.

Read by the Snakefile: nothing heavy is imported here.
"""

import json
import shlex
from typing import Any

from rankscale.core.layout import Layout
from rankscale.core.options import command_line
from rankscale.evaluation.references.options import BM25, RUN, UNTRAINED, ReferOptions
from rankscale.evaluation.slices.options import SliceOptions
from rankscale.models.options import ModelOptions
from rankscale.study import grid, sharing
from rankscale.study.stage_arguments import fitting, manifest_settings, threads
from rankscale.study.test_sets import references
from rankscale.text.options import TokenizeOptions

Study = dict[str, Any]


def borrow_vocabulary(study: Study, collection: str) -> str:
    """The study's own vocabulary, which texts of another collection are read by, and what its manifest keeps there."""
    layout = Layout.of(study)
    folder = grid.borrowed_vocabulary(study)
    kept = sharing.shared_settings(study, layout)[sharing.tokenized(layout._replace(collection=collection), folder)]
    own = layout.tokens(study["tokenizer"]["name"])
    return f"{command_line(TokenizeOptions, {'tokenizer': own})} {manifest_settings(kept)}"


def refer(study: Study, reference: str) -> str:
    """What ranks, and how it is measured, on a study's collection."""
    evaluation, retrieval = study["evaluation"], study["evaluation"]["full_retrieval"] or {}
    kind = references.references(study, study["collection"]["name"])[reference]
    values = {**fitting(evaluation, ReferOptions), **threads(study), "kind": kind, "top_k": retrieval.get("top_k")}
    values |= {"retrieval": "full" if grid.pool_sample(study) is None else "pooled"}
    if kind == BM25:
        values |= evaluation["references"]["bm25"]
    if kind == RUN:
        values |= {"split": references.external_run(study, reference)["split"]}
    words = command_line(ReferOptions, values)
    if kind == UNTRAINED:
        words += " " + shlex.join(["--model-options", json.dumps(_untrained(study), sort_keys=True)])
    return words


def _untrained(study: Study) -> dict[str, Any]:
    """What the last model of the ladder is built from, as training begins with the first seed."""
    known = fitting(study["models"][-1], ModelOptions) | fitting(study["training"], ModelOptions)
    known |= {"model": study["models"][-1]["name"], "seed": study["training"]["seeds"][0]}
    return {key: value for key, value in known.items() if value is not None}


def slices(study: Study) -> str:
    """Which training queries others are novel beside, and how a slice is measured."""
    values = {"train_split": study["collection"]["splits"]["train"]}
    return command_line(SliceOptions, values | fitting(study["evaluation"], SliceOptions))
