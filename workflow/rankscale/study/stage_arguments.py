"""What each stage is told: exactly the part of the config that it uses, as the words of its command line.

A key of the config reaches a stage because the stage has an option of that name; no list of them is kept here, and
what is no option raises. What differs from job to job (paths, wildcards, the device) stands in the rules' shell text.

Read by the Snakefile: nothing heavy is imported here.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from rankscale.collection.options import CollectOptions
from rankscale.collection.registry import source_kind
from rankscale.core.layout import Layout, RunId
from rankscale.core.options import command_line
from rankscale.core.ranker_flops import BI_ENCODER, LATE_INTERACTION
from rankscale.evaluation.options import RetrieveOptions, SampleOptions
from rankscale.evaluation.score_options import RERANKED, GatherOptions, ScoreOptions, SubsampleOptions
from rankscale.laws.options import FitOptions, PlanOptions, Resampling
from rankscale.report.options import SummarizeOptions
from rankscale.search.options import EncodeOptions, MineOptions, ShortlistOptions, TeachOptions
from rankscale.study import grid, sharing, teachers, variants
from rankscale.text.options import TokenizeOptions
from rankscale.training.options import TrainOptions
from rankscale.training.refining.options import RefineOptions
from rankscale.training.untrained.options import AdoptOptions

# The keys of the config's `training` that the rule says run by run, or uses itself (keep).
GRID_KEYS = {"train_queries", "cells", "seeds", "snapshots", "teacher", "start_from", "keep"}
# What the rule `train` says of each run.
RUN_OPTIONS = {"variant", "model", "train_queries", "seed", "snapshots"}
RUN_PATHS = {"collection", "tokens", "mined", "miner_scores", "teacher_scores", "scratch", "output"}
REFINED_PATHS = {"start"}  # and the rule `refine` beside them
RUN_MACHINE = {"device", "save_seconds"}

Study = dict[str, Any]


def collect(study: Study) -> str:
    """Where the collection comes from, and how it is read."""
    collection = study["collection"]
    kind, path = source_kind(collection["source"]), collection["path"]
    names = {"source", "titles", "positive_grade", "max_missing", *kind.option_names}
    values = {key: collection[key] for key in names}
    if "splits" in values:
        splits = (collection["splits"]["train"], *collection["splits"]["test"])
        values["splits"] = [split for split in splits if split is not None]
    values["positive_grade"] = json.dumps(values["positive_grade"])
    values |= {"files" if isinstance(path, dict) else "path": path}
    return f"{command_line(CollectOptions, values)} {settings(study, sharing.collected)}"


def settings(study: Study, manifest: Callable[[Layout], str]) -> str:
    """What a manifest of something shared keeps, to be compared when another study names the same folder."""
    layout = Layout.of(study)
    return manifest_settings(sharing.shared_settings(study, layout)[manifest(layout)])


def manifest_settings(values: Mapping[str, Any]) -> str:
    """What a manifest keeps, as a stage's option."""
    return shlex.join(["--settings", json.dumps(values, sort_keys=True)])


def tokenize(study: Study, tokenizer: str, source: str | None) -> str:
    """A tokenizer's source, or the size of the vocabulary to train, and what its manifest keeps."""
    if source:
        return f"{command_line(TokenizeOptions, {'tokenizer': source})} {manifest_settings({'tokenizer': source})}"
    vocabulary = {"vocabulary": study["tokenizer"]["vocabulary"], "split": study["collection"]["splits"]["train"]}
    kept = settings(study, lambda layout: sharing.tokenized(layout, tokenizer))
    return f"{command_line(TokenizeOptions, vocabulary)} {kept}"


def encode(study: Study) -> str:
    """The miner's encoder, and into how many shards the collection is cut."""
    return command_line(EncodeOptions, fitting(study["miner"], EncodeOptions) | threads(study))


def mine(study: Study) -> str:
    """How many negatives, and which documents are none."""
    values = fitting(study["miner"], MineOptions) | threads(study)
    return f"{command_line(MineOptions, values)} {settings(study, sharing.mined)}"


def teach(study: Study, teacher: str) -> str:
    """What a teacher is, and what its manifest keeps."""
    about = teachers.teachers(study)[teacher]
    values = {"teacher": teachers.teacher_kind(about), "split": study["collection"]["splits"]["train"]}
    values |= threads(study)
    if about.get("model"):
        own = teachers.settings(about)
        values |= {"encoder": own["model"], **fitting(own, TeachOptions)}
        values |= {"shard": teachers.tables_of(about).index(teacher)}
    kept = settings(study, lambda layout: sharing.taught(layout, teacher))
    return f"{command_line(TeachOptions, values)} {kept}"


def train(study: Study, model_name: str) -> str:
    """The model and the recipe of a run of a study of one variant, but for what the rule says of it."""
    model = next(model for model in study["models"] if model["name"] == model_name)
    values = {**fitting(model, TrainOptions), **_ranker(study), **_recipe(study, model_name)}
    return command_line(TrainOptions, values, given=RUN_OPTIONS | RUN_PATHS | RUN_MACHINE)


def adopt(study: Study, model_name: str) -> str:
    """A model that is evaluated as it is, of a study of one variant, but for what the rule says of it."""
    model = next(model for model in study["models"] if model["name"] == model_name)
    values = {**fitting(study["training"], AdoptOptions), **fitting(model, AdoptOptions), **_ranker(study)}
    values["output_dim"] = study["training"]["output_dim"] or 0
    return command_line(AdoptOptions, values, given={"variant", "model", "seed", "tokens", "output"})


def refine(study: Study, model_name: str) -> str:
    """The recipe of a run that goes on from another variant's, but for what the rule says of it."""
    given = RUN_OPTIONS | RUN_PATHS | RUN_MACHINE | REFINED_PATHS
    return command_line(RefineOptions, _recipe(study, model_name), given=given)


def _ranker(study: Study) -> dict[str, Any]:
    """The kind of ranker and its own parameters."""
    parameters = dict(study["ranker"])
    kind = parameters.pop("kind")
    if not parameters.get("normalize", True):
        del parameters["normalize"]  # as they were before they could be
    if kind == BI_ENCODER and parameters == {"pooling": "mean"}:  # what rankers were before there were kinds
        return {}
    return {"ranker": kind, "ranker_parameters": json.dumps(parameters, sort_keys=True) if parameters else None}


def _recipe(study: Study, model_name: str) -> dict[str, Any]:
    """How a model is trained in a study of one variant."""
    training = {key: value for key, value in study["training"].items() if key not in GRID_KEYS}
    rate, objective = training["learning_rate"], dict(training["objective"])
    name = objective.pop("name")
    values = {
        **training,
        "output_dim": training["output_dim"] or 0,
        "epochs": None if training["steps"] else training["epochs"],  # what is not counted must not tell runs apart
        "learning_rate": rate[model_name] if isinstance(rate, dict) else rate,
        "objective": name,
        "objective_parameters": json.dumps(objective, sort_keys=True) if objective else None,
        "split": study["collection"]["splits"]["train"],
        **{key: json.dumps(training[key], sort_keys=True) for key in ("curriculum", "propensity") if training[key]},
        **threads(study),
    }
    if not training["negatives"].startswith("annealed"):
        values |= {"annealing_start": None, "annealing_end": None}
    return values


def sample(study: Study) -> str:
    """Which queries are evaluated, and against how many candidates of which kind."""
    evaluation, splits = study["evaluation"], study["collection"]["splits"]
    values = {
        **evaluation["candidates"],
        **fitting(evaluation, SampleOptions),
        "splits": splits["test"],
        "train_split": splits["train"],
        "pool_sample": grid.pool_sample(study),
    }
    return command_line(SampleOptions, values)


def shortlist(study: Study) -> str:
    """How deep the miner's run is, and of which queries."""
    values = {"depth": grid.rerank_depth(study), "splits": study["collection"]["splits"]["test"]}
    return command_line(ShortlistOptions, values | threads(study))


def retrieve(study: Study) -> str:
    """How deep the run is, and how exactly the encoder computes."""
    retrieval = study["evaluation"]["full_retrieval"] or {}
    values = fitting(study["evaluation"], RetrieveOptions) | fitting(retrieval, RetrieveOptions) | threads(study)
    return command_line(RetrieveOptions, values)


def score(study: Study) -> str:
    """How observations and runs, of a study of one variant, are measured."""
    retrieval = "full" if grid.pool_sample(study) is None else "pooled"
    if grid.reranks(study):
        retrieval = f"{RERANKED}{grid.rerank_depth(study)}"
    return command_line(ScoreOptions, fitting(study["evaluation"], ScoreOptions) | {"retrieval": retrieval})


def gather(study: Study, unfinished: list[RunId]) -> str:
    """Which study it is, what it is evaluated on, which of its runs are still to come, and who taught them."""
    values = {"study_name": study["study"], "collections": grid.collections(study)}
    layout, names, starts = Layout.of(study), variants.names(study), variants.starts(study)
    values["readings"] = {name: reading(variants.study_of(study, name)) for name in names}
    taught = [
        f"{name}={sharing.taught(layout, table)}"
        for name in names
        for teacher in [variants.study_of(study, starts.get(name, name))["training"]["teacher"]]
        for table in (teachers.tables_of(teacher) if teacher else ())
    ]
    return command_line(GatherOptions, values | {"unfinished": list(map(str, unfinished)), "taught": taught})


def reading(study: Study) -> dict[str, Any]:
    """How the rankers of a study of one variant read: fields of evaluation.costs.inference.Reading by name."""
    training, ranker = study["training"], study["ranker"]
    late = ranker["kind"] == LATE_INTERACTION
    return {
        "kind": ranker["kind"],
        "dimension": ranker["token_dim"] if late else training["output_dim"],
        "query_length": training["query_length"],
        "passage_length": training["passage_length"],
        "fills": late and ranker["query_fill"],
    }


def subsample(study: Study) -> str:
    """How queries are dropped."""
    return command_line(SubsampleOptions, {"seed": study["laws"]["seed"], "ties": study["evaluation"]["ties"]})


def fit(study: Study) -> str:
    """Which metrics are fitted, and what is held out."""
    laws = study["laws"]
    hold_out = {f"hold_out_{key}": value for key, value in laws["hold_out"].items()}
    return command_line(FitOptions, _resampling(study) | {"columns": laws["metrics"]} | hold_out)


def plan(study: Study) -> str:
    """What is asked of the plan."""
    values = study["plan"] | {"prices": json.dumps(study["plan"]["prices"], sort_keys=True)}
    return command_line(PlanOptions, values | _resampling(study))


def summarize(study: Study) -> str:
    """The whole config, which is recorded."""
    # Snakemake's report shows it within a script, where any "<" of a value would be HTML.
    return command_line(SummarizeOptions, {"config": json.dumps(study, sort_keys=True).replace("<", "\\u003c")})


def _resampling(study: Study) -> dict[str, Any]:
    return fitting(study["laws"], Resampling) | {"ties": study["evaluation"]["ties"]}


def fitting(section: Mapping[str, Any], options: type) -> dict[str, Any]:
    """The keys of a section of the config that are options of a stage."""
    fields = {field.name for field in dataclasses.fields(options)}
    return {key: value for key, value in section.items() if key in fields}


def threads(study: Study) -> dict[str, int]:
    """How many a stage's process may use."""
    return {"threads": study["machine"]["threads"]}
