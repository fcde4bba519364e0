"""Take a model as it is, without training it, and publish it as a run."""

import argparse

from rankscale.core import cli
from rankscale.core.options import add_options, parsed
from rankscale.training.untrained.options import AdoptOptions


def main(args: argparse.Namespace) -> None:
    """Leave a checkpoint and tables in the output folder."""
    options = parsed(AdoptOptions, args)
    # torch takes two seconds to import: wrong arguments are said before.
    from rankscale.training.untrained.adopting import adopt

    adopt(options)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("adopt", __doc__)
    add_options(parser, AdoptOptions)
    return parser
