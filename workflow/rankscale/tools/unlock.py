"""Clear the lock that a killed Snakemake left in this folder; never that of one still running."""

import argparse
import contextlib
import os
import pwd
from itertools import pairwise
from pathlib import Path

import psutil

from rankscale.core import cli
from rankscale.core.commands import STAGES
from rankscale.core.errors import StudyError
from rankscale.study import run_owners
from rankscale.study.run_owners import RunOwner


def main(args: argparse.Namespace) -> None:
    """End what a killed run left behind, then unlock. Raises StudyError if a live run holds the folder, or may."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise StudyError("this folder has been removed; go to the project's folder") from None
    locks = list((here / ".snakemake" / "locks").glob("*"))
    if not locks:
        return
    notes = list(run_owners.notes())
    refuse_others(locks, [owner for _, owner in notes], args.force)
    left = abandoned_stages(here)
    # Stages whose Snakemake was killed go on writing what the new run would write too.
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it ended by itself just now
            process.kill()
    psutil.wait_procs(left, timeout=10)
    print("unlock: a killed run left its lock; clearing it, finished results stay", flush=True)
    # As `snakemake --unlock` does, which reads the whole study first: one that it cannot read must not keep the lock.
    for path in (*locks, *(note for note, _ in notes)):
        path.unlink(missing_ok=True)


def refuse_others(locks: list[Path], owners: list[RunOwner], force: bool) -> None:
    """Raise StudyError where a run is alive; unless `force` says that they have ended, also where that cannot be seen:
    runs on another host, in another container, or another user's.
    """
    for owner in owners:
        state = owner.state()
        if state == "alive":
            raise StudyError(f"Snakemake is still working in this folder ({owner}); wait for it or end it")
        if state == "elsewhere" and not force:
            raise StudyError(
                f"the lock may be that of {owner}: whether it is alive cannot be seen from here. Look there; if it has "
                "ended, rankscale unlock --force"
            )
    strangers = {lock.stat().st_uid for lock in locks} - {os.getuid()}
    if strangers and not force:
        raise StudyError(
            f"the lock is that of another user ({', '.join(sorted(map(_name, strangers)))}); if that run has ended, "
            "rankscale unlock --force"
        )


def abandoned_stages(here: Path) -> list[psutil.Process]:
    """Stages that work in the folder. Raises StudyError if a Snakemake does."""
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    left = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words, folder = process.info["cmdline"] or [], process.info["cwd"]
        if process.pid in mine or not folder or Path(folder) != here or not words:
            continue
        if any(Path(word).name == "snakemake" for word in words[:3]):
            raise StudyError(
                f"Snakemake (process {process.pid}) is still working in this folder; wait for it or end it"
            )
        if is_stage(words):
            left.append(process)
    return left


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def is_stage(words: list[str]) -> bool:
    """Whether a process's command line is that of a stage, started by Python, torchrun or the console script."""
    return any(Path(a).name == "rankscale" and b in STAGES for a, b in pairwise(words))


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("unlock", __doc__)
    parser.add_argument(
        "--force", action="store_true", help="runs on other hosts, in containers or of others have ended"
    )
    return parser
