"""Clear the lock that a killed Snakemake left in this folder; never that of one still running."""

import argparse
import contextlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import psutil

from rankscale.core import cli
from rankscale.core.commands import STAGES
from rankscale.core.errors import StudyError


def main(_: argparse.Namespace) -> None:
    """End what a killed run left behind, then unlock. Raises StudyError if a live run holds the folder."""
    here = Path.cwd()
    if not any((here / ".snakemake" / "locks").glob("*")):
        return
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    live, left = [], []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words, folder = process.info["cmdline"] or [], process.info["cwd"]
        if process.pid in mine or not folder or Path(folder) != here or not words:
            continue
        if any(Path(word).name == "snakemake" for word in words[:3]):
            live.append(process.pid)
        elif is_stage(words):
            left.append(process)
    if live:
        raise StudyError(f"Snakemake (process {live[0]}) is still working in this folder; wait for it or end it")
    # Stages whose Snakemake was killed go on writing what the new run would write too.
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
            process.kill()
    psutil.wait_procs(left, timeout=10)
    print("unlock: a killed run left its lock; clearing it, finished results stay", flush=True)
    subprocess.run([Path(sys.executable).parent / "snakemake", "--unlock", "--quiet", "all"], check=True, stderr=-3)


def is_stage(words: list[str]) -> bool:
    """Whether a process's command line is that of a stage, started by Python, torchrun or the console script."""
    return any(Path(a).name == "rankscale" and b in STAGES for a, b in pairwise(words))


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    return cli.command_parser("unlock", __doc__)
