"""Fetch a model's files from the hub into its local cache, so that later stages need no internet."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError

# What transformers reads of a model: its configuration, tokenizer and weights.
READ = (".json", ".txt", ".model")
WEIGHTS = (".safetensors", ".bin")
STEP = re.compile(r"\d+_\w+/config\.json")  # of sentence-transformers' pooling, say


def wanted(files: list[str]) -> list[str]:
    """Of a repository's files those that are read: at its top, what modules.json names, its weights in one format."""
    top = [name for name in files if "/" not in name]
    weights = next(([n for n in top if n.endswith(kind)] for kind in WEIGHTS if any(n.endswith(kind) for n in top)), [])
    steps = [name for name in files if STEP.fullmatch(name)]
    return sorted([*(name for name in top if name.endswith(READ)), *steps, *weights])


def fetch(model: str) -> dict[str, Any]:
    """Download what is read of `model`; its revision and files. Raises StudyError where the hub has no such model."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        info = HfApi().model_info(model)
        files = wanted([file.rfilename for file in info.siblings or []])
        snapshot_download(model, revision="main", allow_patterns=files)
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        reason = "the hub has no such model, or does not show it to you" if status in (401, 403, 404) else str(error)
        raise StudyError(f"{model}: {reason.splitlines()[0]}") from None
    except HFValidationError:
        raise StudyError(f"{model!r} is no hub id (owner/name), nor a folder that is there") from None
    except OfflineModeIsEnabled:
        raise StudyError(f"{model}: HF_HUB_OFFLINE is set; fetch it where there is internet, without that") from None
    except Exception as error:  # whatever the HTTP library says
        if isinstance(error, OSError) and error.errno:
            raise  # a full disk, say, is none of the hub's faults
        raise StudyError(f"{model}: the hub cannot be reached ({type(error).__name__})") from None
    if not any(name.endswith(WEIGHTS) for name in files):
        raise StudyError(f"{model}: the hub's repository has no weights at its top (*.safetensors, *.bin)")
    return {"model": model, "revision": info.sha, "files": files}


def main(args: argparse.Namespace) -> None:
    """Fetch, then say which revision came."""
    log.info("fetching %s", args.model)
    record = fetch(args.model)
    log.info("%d files of revision %s", len(record["files"]), record["revision"])
    with atomic_files.whole(args.output) as beside:
        beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("fetch", __doc__)
    parser.add_argument("--model", required=True, help="hub id")
    parser.add_argument("--output", type=Path, required=True, help="record of what was fetched")
    return parser
