"""A study's config, checked against the schema and for what a schema cannot say; defaults filled in.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import difflib
import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from rankscale.core.errors import StudyError
from rankscale.core.paths import PACKAGE, WORKFLOW
from rankscale.study import variants
from rankscale.study.checks.cells import refuse_cells, refuse_snapshots, refuse_unmeasured_plan
from rankscale.study.checks.inputs import refuse_miner, refuse_models, refuse_source, shortened
from rankscale.study.checks.names import refuse_equal_names, refuse_equal_records
from rankscale.study.checks.rankers import refuse_ranker, refuse_untrained
from rankscale.study.checks.training import (
    refuse_dynamic,
    refuse_objective,
    refuse_own_teachers,
    refuse_teacher,
    refuse_weights,
)
from rankscale.study.test_sets.collections import refuse_collections
from rankscale.study.test_sets.references import refuse_references

MOST_CHECKPOINTS = 100_000
# Models as they are: what has no default in a training, and what texts are cut to, as the miner's are.
UNTRAINED = {
    "train_queries": [0],
    "learning_rate": 1.0,
    "negatives": "random",
    "query_length": 64,
    "passage_length": 256,
    "output_dim": None,
}
SCHEMA = WORKFLOW / "schemas" / "config.schema.yaml"


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the config."""
    quickest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # every call of Snakemake waits for it
    return yaml.load(SCHEMA.read_text(encoding="utf-8"), quickest)


@cache
def objectives() -> list[str]:
    """The losses by name: each is a file of its own, so torch need not be imported to know them."""
    files = (PACKAGE / "training" / "objectives").glob("*/*.py")
    return sorted(file.stem for file in files if file.stem != "__init__")


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every default filled in. Raises StudyError, naming the key, for anything wrong in it."""
    study = _checked(config)
    _refuse(study, (variants.refuse_starts, refuse_equal_records, refuse_own_teachers))
    return study


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """The same, but for what only all variants together tell."""
    _refuse_odd(config, "")
    config = _written_out(config)
    error = best_match(Draft202012Validator(schema()).iter_errors(config))
    if error:
        raise StudyError(_explain(error))
    study = _filled(config, schema())
    study["training"]["objective"] = _checked_objective(study["training"]["objective"])
    study["ranker"] = _checked_ranker(study["ranker"])
    checks = (refuse_models, refuse_source, refuse_equal_names, refuse_miner, _refuse_training, _refuse_evaluation)
    _refuse(study, (*checks, refuse_collections, refuse_references))
    return study | {"variants": variants.checked(study, _checked)}


def _written_out(config: dict[str, Any]) -> dict[str, Any]:
    """The config with what `training: false`, or no training queries, stand for."""
    training = {"train_queries": [0]} if config.get("training") is False else config.get("training")
    if isinstance(training, dict) and training.get("train_queries") == [0]:
        return {**config, "training": {**UNTRAINED, **training}}
    return config


def _refuse(study: dict[str, Any], checks: Iterable[Callable[[dict[str, Any]], None]]) -> None:
    for refuse in checks:
        try:
            refuse(study)
        except OSError as error:  # a name that is too long, a folder that may not be read
            raise StudyError(f"{shortened(str(error.filename))}: cannot be looked at ({error.strerror})") from None


def _checked_objective(objective: dict[str, Any]) -> dict[str, Any]:
    """The loss with the defaults of its own parameters. Raises StudyError for what there is not."""
    name, parameters = objective["name"], {key: value for key, value in objective.items() if key != "name"}
    if name not in objectives():
        raise StudyError(f"training.objective.name: there is no loss {name}; there are {', '.join(objectives())}")
    return {"name": name, **_checked_parameters("training.objective", parameters, "losses", name)}


def _checked_ranker(ranker: dict[str, Any]) -> dict[str, Any]:
    """The kind of ranker with the defaults of its own parameters. Raises StudyError for what there is not."""
    kind, parameters = ranker["kind"], {key: value for key, value in ranker.items() if key != "kind"}
    kinds = schema()["$defs"]["rankers"]
    if kind not in kinds:
        raise StudyError(f"ranker.kind: there is no kind {kind}; there are {', '.join(kinds)}")
    return {"kind": kind, **_checked_parameters("ranker", parameters, "rankers", kind)}


def _checked_parameters(key: str, parameters: dict[str, Any], group: str, name: str) -> dict[str, Any]:
    """Own parameters of what the schema lists by name in a group of $defs, with defaults; `key` is the config's."""
    rule = schema()["$defs"][group].get(name, {})
    error = best_match(Draft202012Validator(rule).iter_errors(parameters))
    if error:
        raise StudyError(f"{key}.{_explain(error)}")
    return _filled(parameters, rule)


def _refuse_training(study: dict[str, Any]) -> None:
    """Subsets, batches and snapshots must fit each other, and the loss what it is trained on."""
    training = study["training"]
    needs = schema()["$defs"]["losses"].get(training["objective"]["name"], {}).get("needs", ())
    refuse_dynamic(training, needs)
    refuse_objective(study, needs)
    known = schema()["properties"]["training"]["properties"]["teacher"]["properties"]
    refuse_teacher(study, needs, {key: about["default"] for key, about in known.items()})
    refuse_weights(study)
    refuse_ranker(study)
    refuse_untrained(study)
    if training["micro_batch"] and training["micro_batch"] > training["batch_size"]:
        raise StudyError(
            f"training.micro_batch: {training['micro_batch']} is more than a batch of {training['batch_size']}"
        )
    for size in training["train_queries"]:
        if size and size < training["batch_size"]:
            raise StudyError(f"training.train_queries: {size} is less than one batch of {training['batch_size']}")
    runs = len(study["models"]) * len(training["train_queries"]) * len(training["seeds"])
    if runs * (1 + len(training["snapshots"]["steps"])) > MOST_CHECKPOINTS:
        raise StudyError(
            f"training: {runs} runs with {len(training['snapshots']['steps'])} snapshots each are more than "
            f"{MOST_CHECKPOINTS:,} checkpoints, which Snakemake cannot plan; make several studies of it"
        )
    refuse_cells(study)
    refuse_snapshots(study)
    listed = training["negatives"] not in ("random", variants.DYNAMIC)
    if listed and training["negatives_per_query"] > study["miner"]["top_k"]:
        raise StudyError("training.negatives_per_query: more than miner.top_k keeps")


def _refuse_evaluation(study: dict[str, Any]) -> None:
    """Candidates must have been mined; a plan wants one of two questions."""
    hard, kept = study["evaluation"]["candidates"].get("hard", 0), study["miner"]["top_k"]
    if hard > kept:
        raise StudyError(f"evaluation.candidates.hard: {hard} is more than the {kept} negatives that miner.top_k keeps")
    if study["plan"] and (study["plan"]["budget"] is None) == (study["plan"]["target"] is None):
        raise StudyError("plan: give a budget or a target, one of the two")
    refuse_unmeasured_plan(study)


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
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"
        return f"{key + '.' if key else ''}{unknown}: unknown key; {hint}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"{key + '.' if key else ''}{missing}: is missing"
    refusal = f"{key or 'config'}: {shortened(error.instance)} is not allowed"
    kinds = error.schema.get("enum") or error.schema.get("description") or error.validator_value
    if isinstance(error.instance, str) and _number(error.instance):
        return (
            f"{refusal}: it is text, not a number. YAML reads 3e-6 as text (write 3.0e-6); --config hands on all "
            "numbers within braces as text (write them into a second --configfile)"
        )
    if isinstance(error.instance, bool):
        return (
            f"{refusal}: it is true or false (YAML reads on, off, yes, no so; quote them); expected: {shortened(kinds)}"
        )
    if error.validator == "maxLength":
        return f"{refusal}: it has {len(error.instance)} characters, at most {error.validator_value} are"
    if error.validator == "oneOf" and key.startswith("models."):
        return f"{refusal}: give layers, hidden and heads, or a checkpoint, not both"
    return f"{refusal}: {shortened(error.message if error.validator not in ('oneOf', 'not') else kinds, 300)}"


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
