"""What every stage's command line shares: arguments, log, progress, and how an error reads."""

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rankscale.core import resource_usage
from rankscale.core.errors import StudyError

log = logging.getLogger("rankscale")


def stage_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """An argument parser for `python -m rankscale.{stage}`, with the options that all stages have."""
    made = argparse.ArgumentParser(
        prog=f"python -m rankscale.{stage}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--log", type=Path, help="also write the log to this file")
    return made


def run_stage(stage: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> None:
    """Parse the command line, run the stage, and end with one clear line if the user can mend what failed."""
    args = arguments.parse_args()
    name = arguments.prog.rsplit(".", 1)[1]
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if args.log and os.environ.get("RANK", "0") == "0":  # of several processes the first one writes it
        try:
            args.log.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(args.log, mode="w", encoding="utf-8"))
        except OSError as error:
            arguments.error(f"--log: {args.log} cannot be written ({error.strerror})")
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", handlers=handlers)
    # Libraries speak at warning level only; their chatter would bury the one line that matters.
    logging.getLogger().setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a log on a full disk must not bury the error that says so
    try:
        stage(args)
    except StudyError as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        log.error("%s: %s", error.filename or "output", error.strerror or error)
        sys.exit(1)
    log.info("%s", resource_usage.usage_line())


def at_least(least: float, kind: type = int) -> Callable[[str], float]:
    """A type for an argument: a finite number of `kind`, `least` or more."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= least):
            what = "a whole number" if kind is int else "a number"
            bound = f", {least:g} or more" if math.isfinite(least) else ""
            raise argparse.ArgumentTypeError(f"{text}: takes {what}{bound}")
        return value

    return read
