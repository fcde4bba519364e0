"""The state of a run that is not finished: kept whole, recognised, and checked before it is used."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.interrupts import Stop
from rankscale.storage.digests import content_hash

KEPT = 2  # states; the newest may turn out to be damaged
SHARE = 0.02  # of the time may go into saving


def acquire_run_lock(scratch: Path, stop: Stop) -> IO:
    """Wait until no other process of this machine works on the run; the lock, held until it is closed.

    One that outlived a killed workflow may: this one then goes on from its state, or makes the same bytes again.
    """
    has_said_so = False
    while True:
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            lock = open(scratch / "lock", "w")  # noqa: SIM115 (it lives as long as the process)
        except FileNotFoundError:  # the other one finished just now, and took the folder away
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(scratch / "lock")):
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if not has_said_so:
                log.info("another process is training this run; waiting for it to end")
            has_said_so = True
            stop.exit_if_requested("nothing was begun")
            time.sleep(0.5)
        except OSError:  # a file system without locks
            return lock
        lock.close()


class SavedStates:
    """States of one run under one recipe; those of another lie beside, in a folder of their own, and are not used."""

    def __init__(self, scratch: Path, fingerprint: str, seconds: float, steps: int | None) -> None:
        self.scratch, self.folder = scratch, scratch / fingerprint[:16]
        self.seconds, self.steps = seconds, steps
        others = [folder for folder in self._folders() if folder != self.folder]
        if others and not self.folder.is_dir():
            log.info("%s: made under another recipe, set aside; this run begins anew", others[0])
        self.checkpoints = self.folder / "checkpoints"  # those declared and reached, until the run is published
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for torn in (*self.folder.glob(".*"), *self.checkpoints.glob(".*")):  # what a killed writer left
            torn.unlink()
        self.last_save, self.last_save_seconds = time.monotonic(), 0.0

    def due(self, step: int) -> bool:
        """Whether it is time to save: every so many seconds or steps, but never more than a share of the time."""
        if self.steps:
            return step % self.steps == 0
        return time.monotonic() - self.last_save > max(self.seconds, self.last_save_seconds / SHARE)

    def save(self, step: int, tensors: dict[str, torch.Tensor], facts: dict[str, object]) -> bool:
        """Keep a state, and one before it. A disk that is full costs this state, not the run: it says so."""
        start = time.monotonic()
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        metadata = {"step": step, "facts": facts, "digest": _hash_of(tensors)}
        path = self.folder / f"{step:010}.safetensors"
        for later in self._files():  # of a run that had to go back behind it
            if later > path:
                later.unlink()
        try:
            with atomic_files.whole(path) as beside:
                save_file(tensors, beside, {"rankscale": json.dumps(metadata)})
        except Exception as error:  # safetensors has an error class of its own, without a public name
            log.warning(
                "%s: the state at step %d cannot be saved (%s); the one before it stays, training goes on",
                path,
                step,
                error,
            )
            saved = False
        else:
            saved = True
            for old in self._files()[KEPT:]:
                old.unlink()
        self.last_save = time.monotonic()
        self.last_save_seconds = self.last_save - start
        return saved

    def newest(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and facts of the newest state that is whole; damaged ones are named and passed over."""
        for path in self._files():
            try:
                with safe_open(path, "pt") as file:
                    metadata = json.loads(file.metadata()["rankscale"])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
                if metadata["digest"] != _hash_of(tensors):
                    raise ValueError("its bytes are not those that were written")
                for name, digest in metadata["facts"]["checkpoints"].items():
                    if content_hash(np.fromfile(self.checkpoints / name, np.uint8)) != digest:
                        raise ValueError(f"the checkpoint {name} beside it is not the one that was written")
            except Exception as error:  # damaged files fail in many ways
                log.warning("%s: damaged (%s); going back to the one before", path, error)
                path.unlink(missing_ok=True)  # it would be kept in the place of a whole one
                continue
            return tensors, metadata["facts"]
        return None

    def clear(self) -> None:
        """Forget all states of the run, those of other recipes too: it is finished. Never fails for it."""
        for folder in self._folders():
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.scratch / "lock").unlink()
            self.scratch.rmdir()

    def _folders(self) -> list[Path]:
        return [folder for folder in sorted(self.scratch.glob("[0-9a-f]" * 16)) if folder.is_dir()]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.safetensors"), reverse=True)


def _hash_of(tensors: dict[str, torch.Tensor]) -> str:
    return content_hash(*(part for name in sorted(tensors) for part in (name, tensors[name])))
