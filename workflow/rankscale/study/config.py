"""A study's config, checked against the schema and for what a schema cannot say; defaults filled in.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import difflib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from rankscale.collection.registry import source_kind
from rankscale.core.errors import StudyError
from rankscale.core.paths import PACKAGE, WORKFLOW
from rankscale.study.grid_checks import refuse_cells, refuse_snapshots, refuse_unmeasured_plan
from rankscale.study.names import refuse_equal_names

SCHEMA = WORKFLOW / "schemas" / "config.schema.yaml"


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the config."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


@cache
def objectives() -> list[str]:
    """The losses by name: each is a file of its own, so torch need not be imported to know them."""
    files = (PACKAGE / "training" / "objectives").glob("*.py")
    return sorted(file.stem for file in files if file.stem not in ("__init__", "base", "registry"))


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every default filled in. Raises StudyError, naming the key, for anything wrong in it."""
    _refuse_odd(config, "")
    error = best_match(Draft202012Validator(schema()).iter_errors(config))
    if error:
        raise StudyError(_explain(error))
    study = _filled(config, schema())
    checks = (_refuse_models, _refuse_source, refuse_equal_names, _refuse_miner, _refuse_training, _refuse_evaluation)
    for refuse in checks:
        refuse(study)
    return study


def _refuse_models(study: dict[str, Any]) -> None:
    """Each model has a name of its own, a shape that can be built, and a learning rate."""
    names = [m["name"] for m in study["models"]]
    for i, model in enumerate(study["models"]):
        if names.index(model["name"]) != i:
            raise StudyError(f"models: the name {model['name']} stands twice")
        if model.get("heads") and model["hidden"] % model["heads"]:
            raise StudyError(f"models: {model['name']}: {model['heads']} heads do not divide hidden {model['hidden']}")
        _refuse_missing(model.get("checkpoint", ""), f"models: {model['name']}: checkpoint ")
        _refuse_missing(model.get("tokenizer", ""), f"models: {model['name']}: tokenizer ")
    rates = study["training"]["learning_rate"]
    if isinstance(rates, dict) and set(rates) != set(names):
        extra, lacking = sorted(set(rates) - set(names)), sorted(set(names) - set(rates))
        said = [f"{', '.join(extra)} is no model"] * bool(extra) + [f"{', '.join(lacking)} is a model without a rate"]
        raise StudyError(f"training.learning_rate: {'; '.join(said if lacking else said[:1])}")
    unknown = sorted(set(study["training"]["snapshots"]["models"]) - set(names))
    if unknown:
        raise StudyError(f"training.snapshots.models: {unknown[0]} is no model of the ladder")


def _refuse_training(study: dict[str, Any]) -> None:
    """The loss must be there; subsets, batches and snapshots must fit each other."""
    training = study["training"]
    if training["objective"]["name"] not in objectives():
        raise StudyError(
            f"training.objective.name: there is no loss {training['objective']['name']}; there are "
            f"{', '.join(objectives())}"
        )
    if training["micro_batch"] and training["micro_batch"] > training["batch_size"]:
        raise StudyError(
            f"training.micro_batch: {training['micro_batch']} is more than a batch of {training['batch_size']}"
        )
    for size in training["train_queries"]:
        if size and size < training["batch_size"]:
            raise StudyError(f"training.train_queries: {size} is less than one batch of {training['batch_size']}")
    refuse_cells(study)
    refuse_snapshots(study)
    if training["negatives"] != "random" and training["negatives_per_query"] > study["miner"]["top_k"]:
        raise StudyError("training.negatives_per_query: more than miner.top_k keeps")


def _refuse_evaluation(study: dict[str, Any]) -> None:
    """Candidates must have been mined; a plan wants one of two questions."""
    hard, kept = study["evaluation"]["candidates"].get("hard", 0), study["miner"]["top_k"]
    if hard > kept:
        raise StudyError(f"evaluation.candidates.hard: {hard} is more than the {kept} negatives that miner.top_k keeps")
    if study["plan"] and (study["plan"]["budget"] is None) == (study["plan"]["target"] is None):
        raise StudyError("plan: give a budget or a target, one of the two")
    refuse_unmeasured_plan(study)


def _refuse_miner(study: dict[str, Any]) -> None:
    """Its encoder must be there, its window wide enough."""
    miner = study["miner"]
    _refuse_missing(miner["encoder"], "miner.encoder: ")
    if miner["range_max"] and miner["range_max"] < miner["range_min"] + miner["top_k"] and miner["short"] == "refuse":
        raise StudyError(
            f"miner.range_max: ranks {miner['range_min'] + 1} to {miner['range_max']} hold fewer than top_k "
            f"{miner['top_k']} documents; raise it, or set miner.short to fill"
        )
    if miner["encoder"] == "lsa" and miner["shards"] > 1:
        raise StudyError("miner.shards: lsa reads the whole collection at once; set it to 1")


def _refuse_odd(value: Any, key: str, above: tuple[int, ...] = ()) -> None:
    """What YAML has and no key takes: .inf and .nan, dates, keys that are no text, anchors that hold themselves."""
    if id(value) in above:
        raise StudyError(f"{key}: refers to itself")
    if isinstance(value, float) and not math.isfinite(value):
        raise StudyError(f"{key}: is not a finite number")
    if not isinstance(value, dict | list | str | int | float | None):
        raise StudyError(f"{key}: {value} is a {type(value).__name__}; quote it if it is meant as text")
    for name in value if isinstance(value, dict) else ():
        if not isinstance(name, str):
            raise StudyError(f"{key + '.' if key else ''}{name}: is no key; a key is text (quote it)")
    if isinstance(value, dict | list):
        for name, sub in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_odd(sub, f"{key}.{name}" if key else str(name), (*above, id(value)))


def _refuse_source(study: dict[str, Any]) -> None:
    """A source, its path and its splits must fit, and what the path names must be there."""
    collection = study["collection"]
    source, path, splits = collection["source"], collection["path"], collection["splits"]
    if splits["train"] in splits["test"]:
        raise StudyError(
            f"collection.splits: {splits['train']} is to be trained on and tested; test needs other queries"
        )
    kind = source_kind(source)
    if not isinstance(path, kind.path_type):
        raise StudyError(f"collection.path: {_short(path)} does not fit source {source}; it takes {kind.path_words}")
    for key, file in kind.files(path):
        if not Path(file.partition("!")[0]).exists():
            raise StudyError(f"collection.path{key}: {file}: there is no such file or folder")
    judged = kind.splits(path)
    if judged is None:  # what the library has shows when it is read
        judged = {splits["train"], *splits["test"]}
    grades = collection["positive_grade"]
    for split in grades if isinstance(grades, dict) else ():
        if split not in judged:
            raise StudyError(f"collection.positive_grade: the collection has no split {split}")
    for split in (splits["train"], *splits["test"]):
        if split not in judged:
            raise StudyError(
                f"collection.splits: the collection has no split {split}; it has {', '.join(sorted(judged))}"
            )


def _refuse_missing(place: str, what: str) -> None:
    """A name that is a path, not a hub id, must lead to a folder."""
    if place.startswith((".", "/", "~")) and not Path(place).expanduser().is_dir():
        raise StudyError(f"{what}{place}: there is no such folder")


def _filled(value: Any, rule: dict[str, Any]) -> Any:
    """`value` with the schema's defaults, at every depth."""
    if isinstance(value, dict):
        value = dict(value)
        for key, sub in rule.get("properties", {}).items():
            if key not in value and "default" in sub:
                value[key] = sub["default"]
            if key in value:
                value[key] = _filled(value[key], sub)
    if isinstance(value, list) and "items" in rule:
        value = [_filled(item, rule["items"]) for item in value]
    # JSON Schema takes 3.0 for an integer; paths and commands must not.
    counted = "integer" in rule.get("type", "") or rule.get("$ref") == "#/$defs/count"
    return int(value) if counted and isinstance(value, float) and value.is_integer() else value


def _explain(error: ValidationError) -> str:
    """One line for what the schema refuses: the key, what is wrong, and what would be right."""
    while error.context:  # the branch of a oneOf that came closest
        deeper = best_match(error.context)
        if deeper is None or deeper.validator in ("type", "const", "not"):
            break
        error = deeper
    key = ".".join(str(p) for p in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(k for k in error.instance if k not in known)
        close = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        return f"{key + '.' if key else ''}{unknown}: unknown key; {hint}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"{key + '.' if key else ''}{missing}: is missing"
    said = f"{key or 'config'}: {_short(error.instance)} is not allowed"
    kinds = error.schema.get("enum") or error.schema.get("description") or error.validator_value
    if isinstance(error.instance, str) and _number(error.instance):
        return f"{said}: it is text, not a number (YAML reads 3e-6 as text; write 3.0e-6)"
    if isinstance(error.instance, bool):
        return f"{said}: it is true or false (YAML reads on, off, yes, no so; quote them); expected: {_short(kinds)}"
    if error.validator == "oneOf" and key.startswith("models."):
        return f"{said}: give layers, hidden and heads, or a checkpoint, not both"
    return f"{said}: {error.message if error.validator not in ('oneOf', 'not') else _short(kinds)}"


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)  # of one line
    return text if len(text) <= 120 else text[:117] + "..."
