"""How a run is asked to stop. Without torch: a signal that comes while that is imported counts too."""

import signal
import sys

from rankscale.core.cli import log

INTERRUPTED = 75  # sysexits.h: a temporary failure; whoever runs the workflow tries again


class Stop:
    """Remembers the signal that asks the process to stop; a second one stops it at once."""

    def __init__(self) -> None:
        self.signal = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self.ask)

    def ask(self, number: int, _frame: object) -> None:
        """Let the step in hand end first."""
        if self.signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number

    def exit_if_requested(self, kept: str) -> None:
        """End the process if a signal asked for it, saying what is `kept`."""
        if self.signal:
            log.warning("asked to stop (%s): %s", signal.Signals(self.signal).name, kept)
            sys.exit(128 + self.signal if self.signal == signal.SIGINT else INTERRUPTED)

    def ignore(self) -> None:
        """From now on nothing is lost by going on: the run is published."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
