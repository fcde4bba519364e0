"""What jobs find around them: the project, its Python, GPUs, a folder that can be written."""

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from rankscale.core.errors import StudyError
from rankscale.core.paths import WORKFLOW


def gpus_per_job(device: str) -> int:
    """GPUs that a job on `device` takes; `auto` takes one where there is one."""
    return int(device == "cuda" or (device == "auto" and Path("/dev/nvidia0").exists()))


def prepare_environment() -> None:
    """Let jobs find this project and, unless conda gives them another, the Python that runs Snakemake.

    And let glibc take memory in large pages: on virtual machines fresh ones are dear (docs/log.md). A warning that the
    job will be taken from its node soon (SIGUSR1) is for the training, which saves; Snakemake must outlive it, or SLURM
    kills the training with it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    here, python = str(WORKFLOW), str(Path(sys.executable).parent)
    for name, first in (("PYTHONPATH", here), ("PATH", python)):
        rest = os.environ.get(name)
        os.environ[name] = f"{first}{os.pathsep}{rest}" if rest else first
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    _keep_caches_here()


def _keep_caches_here() -> None:
    """Where HOME cannot be written (a container, a node without it), let libraries keep their caches in this folder."""
    try:
        above = Path.home() / ".cache"
        while not above.exists():
            above = above.parent
        writable = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    except (RuntimeError, OSError):  # no HOME at all, or one that may not be looked into
        writable = False
    if not writable:
        caches = {"XDG_CACHE_HOME": "", "MPLCONFIGDIR": "matplotlib", "IR_DATASETS_HOME": "ir_datasets"}
        for name, folder in caches.items():
            os.environ.setdefault(name, str(Path(".cache", folder).absolute()))


def refuse_unwritable(results: Path) -> None:
    """Raise StudyError if nothing can be written to the results folder."""
    try:
        results.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise StudyError(f"the folder {results} cannot be written to ({error.strerror})") from error
