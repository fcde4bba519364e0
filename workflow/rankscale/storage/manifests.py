"""The manifest of a shared folder: by which study and with which settings it was made."""

import argparse
import json
from pathlib import Path

from rankscale.core import atomic_files


def add_manifest(arguments: argparse.ArgumentParser) -> None:
    """The options of a stage whose output folder several studies may share."""
    arguments.add_argument("--study", default="", help="kept in the manifest: which study made the folder")
    arguments.add_argument("--settings", type=json.loads, default="{}", help="kept too, JSON: what it was made with")


def write_manifest(args: argparse.Namespace, path: Path, **facts: object) -> None:
    """Write what is shared its manifest: by which study and with which settings it was made, and `facts`."""
    manifest = {"study": args.study, "settings": args.settings, **facts}
    with atomic_files.whole(path) as beside:
        beside.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
