"""Follow a running study in the terminal: runs done and running, loss and rate, the time left, what failed.

Reads logs, states and what is published, and touches nothing. Ends when every run is done; Ctrl-C ends it earlier.
"""

import argparse
import sys
import time
from pathlib import Path

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.follow.screen import screen
from rankscale.follow.training_runs import RUNNING, WAITING, states

CLEAR = "\x1b[H\x1b[2J"


def main(args: argparse.Namespace) -> None:
    """Print the screen, once or until the study is done."""
    from rankscale.study import config, config_file, grid

    expected = []
    if args.configfile:
        try:
            expected = list(grid.runs(config.check_config(config_file.load_config_file(args.configfile))))
        except StudyError as error:
            raise StudyError(f"{args.configfile}: {error}") from None
    if not args.study.is_dir() and not expected:
        raise StudyError(f"{args.study}: there is no such folder; name the study's, as results/demo")
    shown = ""
    try:
        while True:
            runs = states(args.study, expected)
            text = screen(args.study, runs)
            if sys.stdout.isatty() and not args.once:
                print(f"{CLEAR}{text}", flush=True)
            elif text != shown:
                print(text, flush=True)
            shown = text
            if args.once or (runs and not any(run.state in (RUNNING, WAITING) for run in runs)):
                return
            time.sleep(args.every)
    except KeyboardInterrupt:
        print()


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("watch", __doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("results/demo"), help="its folder")
    parser.add_argument("--configfile", type=Path, help="the study's: then runs that are to come are counted too")
    parser.add_argument("--once", action="store_true", help="print it once")
    parser.add_argument("--every", type=cli.positive, default=5.0, help="seconds between two looks")
    return parser
