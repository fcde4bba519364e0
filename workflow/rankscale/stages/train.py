"""Train one ranking model on one subset with one seed; publish its declared checkpoints, all or none."""

import argparse

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.core.options import add_options, parsed
from rankscale.training.options import TrainOptions


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    stop = Stop()
    options = parsed(TrainOptions, args)
    refuse_unfit(options)
    # torch takes two seconds to import: wrong arguments are said before, and a signal is remembered.
    from rankscale.training.setup import set_up
    from rankscale.training.trainer import carry_out

    carry_out(options, set_up, stop)


def refuse_unfit(options: TrainOptions) -> None:
    """Raise StudyError for options that do not go together, and for folders that cannot be written."""
    shape = {name: getattr(options, name) for name in ("layers", "hidden", "heads")}
    if options.checkpoint and (options.hidden or options.heads):
        raise StudyError("--checkpoint: has a shape of its own; leave out --hidden and --heads")
    if not options.checkpoint and not all(shape.values()):
        raise StudyError(f"--{next(k for k, v in shape.items() if not v)}: is missing; or give a --checkpoint")
    if options.hidden and options.heads and options.hidden % options.heads:
        raise StudyError(f"--heads: {options.heads} heads do not divide hidden {options.hidden}")
    options.refuse_folders()


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("train", __doc__)
    add_options(parser, TrainOptions)
    return parser
