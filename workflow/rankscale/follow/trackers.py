"""The trackers that a study can be mirrored to, by name; each is imported when it is asked for."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from rankscale.core.layout import RunId
from rankscale.follow.curves import Point


class Tracker(Protocol):
    """What takes the numbers of one run."""

    def add(self, points: Iterable[Point]) -> None:
        """Take in numbers, of each name in the order of steps."""

    def close(self) -> None:
        """Put all on disk."""


class TensorBoard:
    """Event files, a folder for each run: `tensorboard --logdir OUTPUT` shows them."""

    def __init__(self, output: Path, study: str, run: RunId) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(output / str(run)))

    def add(self, points: Iterable[Point]) -> None:
        """Take in numbers."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for point in points:
            value = Summary.Value(tag=point.name, simple_value=point.value)
            self.writer.add_event(Event(step=point.step, summary=Summary(value=[value])))

    def close(self) -> None:
        """Put all on disk."""
        self.writer.close()


class Trackio:
    """A local Trackio project of the study's name, below OUTPUT: `trackio show` shows it."""

    def __init__(self, output: Path, study: str, run: RunId) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(output))  # read when it is imported
        import trackio

        name = str(run).replace("/", "-")
        # This process is not the one that trains: its load says nothing.
        self.run = trackio.init(
            project=study, name=name, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def add(self, points: Iterable[Point]) -> None:
        """Take in numbers, those of a step together."""
        by_step: dict[int, dict[str, Any]] = {}
        for point in points:
            by_step.setdefault(point.step, {})[point.name] = point.value
        for step, values in sorted(by_step.items()):
            self.run.log(values, step=step)

    def close(self) -> None:
        """Put all on disk."""
        self.run.finish()


TRACKERS: dict[str, Callable[[Path, str, RunId], Tracker]] = {"tensorboard": TensorBoard, "trackio": Trackio}


def tracker_of(name: str, output: Path, study: str, run: RunId) -> Tracker:
    """The tracker of a run; its package is imported now."""
    return TRACKERS[name](output, study, run)
