"""Train a finished run's queries further, on negatives found by exact search at each step; its passages stay."""

import argparse

from rankscale.core import cli
from rankscale.core.interrupts import Stop
from rankscale.core.options import add_options, parsed
from rankscale.training.refining.options import RefineOptions


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    stop = Stop()
    options = parsed(RefineOptions, args)
    options.refuse_folders()
    # torch takes two seconds to import: wrong arguments are said before, and a signal is remembered.
    from rankscale.training.refining.setup import set_up
    from rankscale.training.trainer import carry_out

    carry_out(options, set_up, stop)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("refine", __doc__)
    add_options(parser, RefineOptions)
    return parser
