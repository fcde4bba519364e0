"""What a table was made of, kept in its file's metadata: sums of a collection's files, and what else must be alike.

Two files of one form and the same ids, of two collections, encoders or draws of candidates, would be used side by side
without a word. What an older version wrote says nothing, and is not compared.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables

SOURCES = "sources"  # SHA-256 of a collection's files, by name
CANDIDATES = "candidates"  # SHA-256 of the table of candidates that an evaluation is over
RECIPE = "recipe"  # how a run was trained, but for what tells the runs of a variant apart
ONE_EVALUATION = "delete what is over other candidates than the study's, and run again"


def read_origin(path: str | Path) -> dict[str, Any]:
    """What the table at `path` keeps of its origin; nothing where an older version wrote it."""
    with tables.reading(path):
        return origin_of(pq.read_schema(path))


def origin_of(schema: pa.Schema) -> dict[str, Any]:
    """The same of a table that was read."""
    return json.loads((schema.metadata or {}).get(tables.ORIGIN.encode(), b"{}"))


def of_collection(collection: Path, *names: str, **more: Any) -> dict[str, Any]:
    """The origin of what is made of the files `names` of a collection, and `more` that tells it from others."""
    sums = manifests.recorded(collection / manifests.MANIFEST)
    return {SOURCES: {name: sums[name] for name in names if name in sums}, **more}


def refuse_other_collection(path: str | Path, origin: Mapping[str, Any], collection: Path) -> None:
    """Raise StudyError where the table at `path`, of this `origin`, was made of other files than `collection` holds.

    By the sums that were kept: no file is read.
    """
    sums = manifests.recorded(collection / manifests.MANIFEST)
    manifests.refuse_other_sums(path, origin.get(SOURCES, {}), sums, collection)


def refuse_other_texts(path: str | Path, origin: Mapping[str, Any], tokens: Path) -> None:
    """Raise StudyError where the table at `path` is of other texts than the token ids in the folder `tokens`."""
    sums = manifests.recorded(tokens / manifests.MANIFEST, SOURCES)
    manifests.refuse_other_sums(path, origin.get(SOURCES, {}), sums, tokens)


def refuse_other_recipes(origins: Iterable[tuple[str | Path, Mapping[str, Any]]]) -> None:
    """Raise StudyError where two runs, each by the path of its table, were trained in two ways under one name.

    Snakemake trains anew what was trained otherwise, unless it was told that all is well, or a run was brought along.
    """
    first: dict[str, tuple[str | Path, Any]] = {}
    for path, origin in origins:
        for key, value in origin.get(RECIPE, {}).items():
            other, known = first.setdefault(key, (path, value))
            if known != value:
                raise StudyError(
                    f"{path}: was trained with {key}={value}, {other} with {key}={known}, under the name of one "
                    "variant; delete the one that is not as the config says and run again"
                )


def refuse_mixed(origins: Iterable[tuple[str | Path, Mapping[str, Any]]], key: str, advice: str) -> None:
    """Raise StudyError where two tables, each with its path, differ in what their origins say of `key`."""
    first: tuple[str | Path, Any] | None = None
    for path, origin in origins:
        if key not in origin:
            continue
        first = first or (path, origin[key])
        if origin[key] != first[1]:
            raise StudyError(f"{path}: was made with another {key} than {first[0]}; {advice}")
