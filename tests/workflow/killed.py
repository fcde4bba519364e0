"""Begin `make demo`, kill -9 all of Snakemake half-way, and type the same command again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import run

PATIENCE = 600


def demo_killed_and_finished(folder):
    """Leaves a finished study, and `killed.txt` with what the second run printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / "first.txt", "w") as log:
        first = subprocess.Popen(["make", "demo"], cwd=folder, stdout=log, stderr=log, env={**os.environ, "PATH": path})
        until = time.monotonic() + PATIENCE
        # Half-way: some models trained, others not, one at work.
        while len(list(folder.glob("results/demo/models/*/*/*/*/final.safetensors"))) < 2:
            assert time.monotonic() < until, (folder / "first.txt").read_text()[-3000:]
            assert first.poll() is None, (folder / "first.txt").read_text()[-3000:]
            time.sleep(0.2)
        # Only Snakemake and make die; the stages they started are orphans now, as after a real kill -9.
        for process in psutil.Process(first.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
                if any(Path(word).name == "snakemake" for word in process.cmdline()[:3]):
                    process.send_signal(signal.SIGKILL)
        first.kill()
        first.wait()
    assert list((folder / ".snakemake" / "locks").iterdir()), "no lock was left: the kill came too late"
    again = run("make demo", folder)
    (folder / "killed.txt").write_text(again.stdout)
