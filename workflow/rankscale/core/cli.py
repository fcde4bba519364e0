"""What every command shares: how arguments are read, where the log goes, and how an error reads."""

import argparse
import io
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from rankscale.core import resource_usage
from rankscale.core.commands import STAGES
from rankscale.core.errors import StudyError

log = logging.getLogger("rankscale")
LONGEST_LINE = 4000  # characters of a line of the log
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but for tabs and new lines


class UsageError(StudyError):
    """A command line that cannot be read."""


class CommandParser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others, so that they reach the log."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (rankscale {self.prog.split()[-1]} --help lists what it takes)")


class ShortLines(logging.Formatter):
    """What a file's content puts into a line neither floods a terminal nor steers it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without its middle, if it is long, and control characters shown."""
        line = super().format(record)
        if len(line) > LONGEST_LINE:
            line = f"{line[: LONGEST_LINE // 2]} [...] {line[-LONGEST_LINE // 4 :]}"
        return CONTROL.sub(lambda match: repr(match[0])[1:-1], line)


def command_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """The argument parser of `rankscale {command}`; stages have a `--log`."""
    parser = CommandParser(
        prog=f"rankscale {command}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if command in STAGES:
        parser.add_argument("--log", type=Path, help="also write the log to this file")
    return parser


def run_command(
    command: str, main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, arguments: list[str]
) -> None:
    """Parse the arguments, run the command, and end with one clear line if the user can mend what failed.

    A stage's last line says what it took.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows only ASCII must not end a result
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    log_file = _log_file(arguments) if command in STAGES else None
    unwritable = ""
    if log_file and os.environ.get("RANK", "0") == "0":  # of several processes the first one writes it
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
        except OSError as error:
            unwritable = f"--log: {log_file} cannot be written ({error.strerror})"
    for handler in handlers:
        handler.setFormatter(ShortLines(f"{command}: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    # Libraries speak at warning level only; their chatter would bury the one line that matters.
    logging.getLogger().setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a log on a full disk must not bury the error that says so
    try:
        args = parser.parse_args(arguments)
        if unwritable:
            raise UsageError(unwritable)
        main(args)
    except StudyError as error:
        log.error("%s", error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        log.error("%s: %s", error.filename or "output", error.strerror or error)
        sys.exit(1)
    if command in STAGES:
        log.info("%s", resource_usage.usage_line())


def _log_file(arguments: list[str]) -> Path | None:
    """The file after `--log`: looked for first, for a complaint about the other arguments belongs there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--log", nargs="?", type=Path)
    return parser.parse_known_args(arguments)[0].log


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


def within(low: float, high: float, kind: type = float, above: bool = False) -> Callable[[str], float]:
    """A type for an argument: a number of `kind` from `low` (or above it) to `high`."""

    def read(text: str) -> float:
        value = kind(text)
        if not (low < value if above else low <= value) or not value <= high:
            raise argparse.ArgumentTypeError(
                f"{text} is not {'above' if above else 'at least'} {low} and at most {high}"
            )
        return value

    read.__name__ = "number"
    return read


def expanded_path(text: str) -> Path:
    """A type for an argument: a path whose `$NAME`, `${NAME}` and leading `~` are those of the job that reads it."""
    path = os.path.expandvars(os.path.expanduser(text))
    unset = re.search(r"\$(\w+|\{\w+\})", path)
    if unset:
        raise argparse.ArgumentTypeError(f"{text}: the environment has no {unset[0]}")
    return Path(path)


positive = within(0, 1e30, above=True)
count = within(1, 2**31 - 1, int)
