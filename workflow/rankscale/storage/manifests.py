"""The manifest of a shared folder: by which study and with which settings it was made, and the checksums of its files.

Snakemake goes by dates: a file exchanged for an older one, or harmed in place, is none of its business. Who reads a
shared file first in a stage compares it.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError, refuse_unreadable
from rankscale.storage.digests import file_hash

MANIFEST = "manifest.json"
# The files of a collection.
COLLECTED = ("documents.parquet", "queries.parquet", "qrels.parquet", "copies.parquet", "own_documents.parquet")


def add_manifest(arguments: argparse.ArgumentParser) -> None:
    """The options of a stage whose output folder several studies may share."""
    arguments.add_argument("--study", default="", help="kept in the manifest: which study made the folder")
    arguments.add_argument("--settings", type=json.loads, default="{}", help="kept too, JSON: what it was made with")


def write_manifest(args: argparse.Namespace, path: Path, **facts: object) -> None:
    """Write what is shared its manifest: by which study and with which settings it was made, and `facts`."""
    manifest = {"study": args.study, "settings": args.settings, **facts}
    with atomic_files.whole(path) as beside:
        beside.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def checksums(paths: Iterable[Path]) -> dict[str, dict[str, object]]:
    """What a manifest keeps of its files, by their names."""
    return {path.name: {"sha256": file_hash(path)} for path in paths}


def recorded(manifest: Path, of: str = "files") -> dict[str, str]:
    """The SHA-256 of each file that a manifest keeps under `of`: its own `files`, or the `sources` they were made from.

    None where there is no manifest, or an older version wrote it. Raises StudyError for one that cannot be read.
    """
    try:
        return {str(name): str(facts["sha256"]) for name, facts in read_manifest(manifest).get(of, {}).items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise StudyError(f"{manifest}: cannot be read ({error!r}); delete this file and run again") from error


def read_manifest(manifest: Path) -> dict[str, Any]:
    """All that a manifest keeps; nothing where there is none. Raises StudyError for one that cannot be read."""
    try:
        kept = json.loads(manifest.read_text(encoding="utf-8"))
        if not isinstance(kept, dict):
            raise ValueError("no mapping")
        return kept
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        refuse_unreadable(manifest)
        raise StudyError(f"{manifest}: cannot be read ({error!r}); delete this file and run again") from error


def refuse_changed(manifest: Path, *names: str) -> None:
    """Raise StudyError where one of the files `names` beside `manifest` is not the one whose checksum it keeps."""
    sums = recorded(manifest)
    for name in names:
        path = manifest.parent / name
        if name in sums and path.exists() and file_hash(path) != sums[name]:
            raise StudyError(
                f"{path}: is not the file that {manifest} speaks of: it was changed or exchanged; put it back, or "
                f"delete it and run again, and what was made of it is made again"
            )


def refuse_other_sources(manifest: Path, collection: Path) -> None:
    """Raise StudyError where what `manifest` speaks of was made from other files than `collection` holds.

    By the sums that both manifests keep: no file is read.
    """
    refuse_other_sums(manifest.parent, recorded(manifest, "sources"), recorded(collection / MANIFEST), collection)


def sources(collection: Path, *names: str) -> dict[str, dict[str, object]]:
    """What a manifest keeps of the files of a collection that something was made from."""
    sums = recorded(collection / MANIFEST)
    return {name: {"sha256": sums[name]} for name in names if name in sums}


def refuse_other_sums(path: str | Path, own: Mapping[str, str], others: Mapping[str, str], other: Path) -> None:
    """Raise StudyError where `path` was made from a file of another sum than the folder `other` (or its source) has."""
    for name, total in own.items():
        if others.get(name, total) != total:
            raise StudyError(f"{path}: was made from another {name} than {other}; delete {path} and run again")
