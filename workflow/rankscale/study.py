"""A study's config: checked against the schema, defaults filled in, and what it says of each run.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import difflib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from rankscale.errors import StudyError

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"


class Run(NamedTuple):
    """One training run, by the names that stand in its paths."""

    model: str
    subset: str
    seed: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the config."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def check(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every default filled in. Raises StudyError, naming the key, for anything wrong in it."""
    _refuse_infinite(config, "")
    error = best_match(Draft202012Validator(schema()).iter_errors(config))
    if error:
        raise StudyError(_explain(error))
    study = _filled(config, schema())
    names = [m["name"] for m in study["models"]]
    training, evaluation = study["training"], study["evaluation"]
    for i, model in enumerate(study["models"]):
        if names.index(model["name"]) != i:
            raise StudyError(f"models: the name {model['name']} stands twice")
        if model.get("heads") and model["hidden"] % model["heads"]:
            raise StudyError(f"models: {model['name']}: {model['heads']} heads do not divide hidden {model['hidden']}")
        _refuse_missing(model.get("checkpoint", ""), f"models: {model['name']}: checkpoint ")
        _refuse_missing(model.get("tokenizer", ""), f"models: {model['name']}: tokenizer ")
    _refuse_source(study["collection"])
    _refuse_missing(study["miner"]["encoder"], "miner.encoder: ")
    rates = training["learning_rate"]
    if isinstance(rates, dict) and set(rates) != set(names):
        odd = sorted(set(rates) ^ set(names))[0]
        raise StudyError(f"training.learning_rate: {odd} is {'no model' if odd in rates else 'a model without a rate'}")
    unknown = sorted(set(training["snapshots"]["models"]) - set(names))
    if unknown:
        raise StudyError(f"training.snapshots.models: {unknown[0]} is no model of the ladder")
    for size in training["train_queries"]:
        if size and size < training["batch_size"]:
            raise StudyError(f"training.train_queries: {size} is less than one batch of {training['batch_size']}")
    if snapshots(study):
        size = training["train_queries"][_largest(training["train_queries"])]
        end = size and size // training["batch_size"] * training["epochs"]
        late = [s for s in training["snapshots"]["steps"] if end and s >= end]
        if late:
            raise StudyError(f"training.snapshots.steps: {late[0]} is not before the end of the run, step {end}")
    if evaluation["candidates"].get("hard", 0) > study["miner"]["top_k"]:
        raise StudyError(
            f"evaluation.candidates.hard: {evaluation['candidates']['hard']} is more than the "
            f"{study['miner']['top_k']} negatives that miner.top_k keeps"
        )
    if training["negatives"] != "random" and training["negatives_per_query"] > study["miner"]["top_k"]:
        raise StudyError("training.negatives_per_query: more than miner.top_k keeps")
    if study["miner"]["name"] == "tokens":
        raise StudyError("miner.name: tokens is the name of a folder of the collection; choose another")
    if study["miner"]["encoder"] == "lsa" and study["miner"]["shards"] > 1:
        raise StudyError("miner.shards: lsa reads the whole collection at once; set it to 1")
    return study


def runs(study: dict[str, Any]) -> Iterator[Run]:
    """Every run of the grid."""
    for model in study["models"]:
        for size in study["training"]["train_queries"]:
            for seed in study["training"]["seeds"]:
                yield Run(model["name"], subset_name(size), seed)


def snapshots(study: dict[str, Any]) -> dict[Run, list[str]]:
    """The runs that publish checkpoints before their end, and which: the named models' largest subset."""
    training = study["training"]
    steps = [str(s) for s in sorted(training["snapshots"]["steps"])]
    largest = subset_name(training["train_queries"][_largest(training["train_queries"])])
    chosen = training["snapshots"]["models"] if steps else []
    return {Run(model, largest, seed): steps for model in chosen for seed in training["seeds"]}


def subset_name(size: int | None) -> str:
    """How a subset is called in paths."""
    return "all" if size is None else str(size)


def tokenizer_of(study: dict[str, Any], model: dict[str, Any]) -> tuple[str, str | None]:
    """The folder name of a model's tokenizer, and its hub id or path (None: trained on the collection)."""
    if "checkpoint" not in model:
        return study["tokenizer"]["name"], None
    source = model.get("tokenizer", model["checkpoint"])
    return source.strip("./~").replace("/", "--"), source


def shared_settings(study: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per shared folder (relative to results/shared), the settings it is made with."""
    collection = {k: v for k, v in study["collection"].items() if k not in ("name", "splits")}
    if collection["source"] != "docstrings":
        collection = {k: collection[k] for k in ("source", "path", "titles", "positive_grade")}
    name = study["collection"]["name"]
    miner = {k: v for k, v in study["miner"].items() if k != "name"}
    tokens = f"{name}/tokens/{study['tokenizer']['name']}"
    return {name: collection, f"{name}/{study['miner']['name']}": miner, tokens: dict(study["tokenizer"])}


def refuse_clashes(study: dict[str, Any], results: Path) -> None:
    """Raise StudyError if another study made a shared folder of this one with other settings."""
    for folder, wanted in shared_settings(study).items():
        path = results / "shared" / folder / "manifest.json"
        if not path.exists() or study["remake"]:
            continue
        try:
            made = json.loads(path.read_text(encoding="utf-8"))
            other, settings = made["study"], made["settings"]
        except (ValueError, KeyError) as error:
            raise StudyError(f"{path}: cannot be read ({error!r}); delete {path.parent} and run again") from error
        if other != study["study"] and settings != wanted:
            odd = sorted(k for k in {*settings, *wanted} if settings.get(k) != wanted.get(k))[0]
            raise StudyError(
                f"{path.parent}: study {other} made it with {odd}={settings.get(odd)}, study {study['study']} wants "
                f"{odd}={wanted.get(odd)}; give yours another name, or make it anew for both with --config remake=True"
            )


def prepare_environment() -> None:
    """Let jobs find this project and, unless conda gives them another, the Python that runs Snakemake.

    And let glibc keep the memory that a step gives back: on virtual machines fresh pages are dear, and without this a
    tenth of an evaluation goes into them.
    """
    here, python = str(Path(__file__).parents[1]), str(Path(sys.executable).parent)
    for name, first in (("PYTHONPATH", here), ("PATH", python)):
        rest = os.environ.get(name)
        os.environ[name] = f"{first}{os.pathsep}{rest}" if rest else first
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))


def refuse_unwritable(results: Path) -> None:
    """Raise StudyError if nothing can be written to the results folder."""
    try:
        results.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise StudyError(f"the folder {results} cannot be written to ({error.strerror})") from error


def _refuse_infinite(value: Any, key: str) -> None:
    """YAML has .inf and .nan, which JSON Schema takes for numbers like any other."""
    if isinstance(value, float) and not math.isfinite(value):
        raise StudyError(f"{key}: is not a finite number")
    if isinstance(value, dict | list):
        for name, sub in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_infinite(sub, f"{key}.{name}" if key else str(name))


def _refuse_source(collection: dict[str, Any]) -> None:
    """A source and its path must fit, and what the path names must be there."""
    source, path = collection["source"], collection["path"]
    fits = {"docstrings": type(None), "beir": str, "tsv": dict}[source]
    if not isinstance(path, fits):
        wanted = {"docstrings": "null", "beir": "a folder or zip", "tsv": "a mapping of corpus, queries and qrels"}[
            source
        ]
        raise StudyError(f"collection.path: {_short(path)} does not fit source {source}; it takes {wanted}")
    files = {"": path} if source == "beir" else {}
    if source == "tsv":
        files = {".corpus": path["corpus"]}
        files |= {f".{kind}.{split}": f for kind in ("queries", "qrels") for split, f in path[kind].items()}
    for key, file in files.items():
        if not Path(file).exists():
            raise StudyError(f"collection.path{key}: {file}: there is no such file or folder")
    wanted = [collection["splits"]["train"], *collection["splits"]["test"]]
    if source == "tsv":
        for split in wanted:
            if split not in path["qrels"]:
                raise StudyError(f"collection.path.qrels: has no split {split}, which collection.splits names")


def _refuse_missing(place: str, what: str) -> None:
    """A name that is a path, not a hub id, must lead to a folder."""
    if place.startswith((".", "/", "~")) and not Path(place).expanduser().is_dir():
        raise StudyError(f"{what}{place}: there is no such folder")


def _largest(sizes: list[int | None]) -> int:
    return max(range(len(sizes)), key=lambda i: float("inf") if sizes[i] is None else sizes[i])


def _filled(value: Any, rule: dict[str, Any]) -> Any:
    """`value` with the schema's defaults, at every depth."""
    if isinstance(value, dict):
        value = dict(value)
        for key, sub in rule.get("properties", {}).items():
            if key not in value and "default" in sub:
                value[key] = sub["default"]
            if key in value:
                value[key] = _filled(value[key], sub)
    return value


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
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
