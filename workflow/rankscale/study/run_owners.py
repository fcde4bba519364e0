"""Whose run holds a folder: Snakemake's own locks name no one, so each run leaves a note as long as it lives.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import atexit
import contextlib
import dataclasses
import getpass
import json
import os
import platform
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError

NOTES = Path(".snakemake", "rankscale")


@dataclass(frozen=True)
class RunOwner:
    """A run of Snakemake: its process, and where that number means something.

    `boot` and `namespace` are Linux's ids of the system's start and of the container's process numbers; `started` is
    the process's start, seconds since 1970.
    """

    user: str
    host: str
    machine: str
    boot: str
    namespace: str
    process: int
    started: float

    @classmethod
    def here(cls) -> "RunOwner":
        """This process."""
        started = psutil.Process().create_time()
        return cls(_user(), platform.node(), *_where(), os.getpid(), started)

    def state(self) -> str:
        """`alive`, `ended`, or `elsewhere`: where this process cannot see it."""
        machine, boot, namespace = _where()
        if (self.host, self.boot, self.namespace) == (platform.node(), boot, namespace):
            return "alive" if self._is_running() else "ended"
        # The same machine was started anew, and nothing outlives that.
        restarted = self.machine and (self.host, self.machine) == (platform.node(), machine) and self.boot != boot
        return "ended" if restarted else "elsewhere"

    def _is_running(self) -> bool:
        try:
            process = psutil.Process(self.process)
            # One that was killed keeps its number until it is waited for, but has no command line any more.
            return abs(process.create_time() - self.started) < 1 and bool(process.cmdline())
        except psutil.AccessDenied:
            return True
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return False

    def __str__(self) -> str:
        container = ", in another container" if self.host == platform.node() and self.namespace != _where()[2] else ""
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started))
        return f"user {self.user} on {self.host}{container}, process {self.process}, since {since}"


def leave_note() -> None:
    """Say in the working folder that this process holds it, until it ends; nothing where nothing can be written."""
    owner, note = RunOwner.here(), NOTES / f"{uuid.uuid4().hex}.json"
    with contextlib.suppress(OSError, StudyError):
        NOTES.mkdir(parents=True, exist_ok=True)
        with atomic_files.whole(note) as beside:
            beside.write_text(json.dumps(dataclasses.asdict(owner)) + "\n", encoding="utf-8")
        atexit.register(_remove, note.absolute(), os.getpid())


def notes() -> Iterator[tuple[Path, RunOwner]]:
    """The notes in the working folder; what cannot be read is none."""
    for note in sorted(NOTES.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            yield note, RunOwner(**json.loads(note.read_text(encoding="utf-8")))


def _remove(note: Path, process: int) -> None:
    if os.getpid() == process:  # not a fork of it
        with contextlib.suppress(OSError):
            note.unlink()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for it
        return str(os.getuid())


def _where() -> tuple[str, str, str]:
    """The machine's id, that of its start, and that of the namespace of process numbers; "" where there is none."""
    values = []
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            values.append(Path(path).read_text(encoding="utf-8").strip())
        except OSError:
            values.append("")
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return values[0], values[1], namespace
