"""Clear the lock that a killed Snakemake left in this folder; never that of one still running."""

import argparse
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil


def main() -> None:
    """End what a killed run left behind, then unlock; exit with one line if a live one holds the folder."""
    argparse.ArgumentParser(prog="python -m rankscale.unlock", description=__doc__).parse_args()
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
        elif any(word.startswith("rankscale.") for word in words[:4]):
            left.append(process)
    if live:
        sys.exit(f"unlock: Snakemake (process {live[0]}) is still working in this folder; wait for it or end it")
    # Stages whose Snakemake was killed go on writing what the new run would write too.
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
            process.kill()
    psutil.wait_procs(left, timeout=10)
    print("unlock: a killed run left its lock; clearing it, finished results stay", flush=True)
    subprocess.run([Path(sys.executable).parent / "snakemake", "--unlock", "--quiet", "all"], check=True, stderr=-3)


if __name__ == "__main__":
    main()
