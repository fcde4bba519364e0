"""What a training run leaves in its tables: one row a step, and one a checkpoint."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

from rankscale.core import resource_usage
from rankscale.core.cli import log
from rankscale.storage import tables
from rankscale.storage.origins import RECIPE

if TYPE_CHECKING:
    from tqdm import tqdm

# Equal runs have equal values in these; seconds and memory stand in a table of their own.
LOGGED = ("step", "epoch", "loss", "gradient_norm", "learning_rate", "inverse_temperature", "tokens")
MINUTE = 60.0
TIMED = ("step", "seconds", "memory_mb")


class TrainingLog:
    """The log of a run so far. Losses are left on the device until `sync`, so that no step waits for them.

    `before` are the seconds that passed before the first step and count: those of a run that this one goes on from.
    """

    def __init__(self, bar: "tqdm | None", before: float = 0.0) -> None:
        self.before = before
        self.columns: dict[str, list] = {name: [] for name in (*LOGGED, "flops", "seconds", "memory_mb")}
        self.checkpoints: list[dict[str, Any]] = []
        self.waiting: list[torch.Tensor] = []
        self.bar, self.process = bar, psutil.Process()
        self.last_end = self.last_progress_at = time.monotonic()

    @property
    def step(self) -> int:
        """Steps taken."""
        return len(self.columns["step"])

    def begin(self, epoch: float, rate: float, tokens: int, flops: float) -> None:
        """Open the row of a step with what is known before it."""
        row = {"step": self.step + 1, "epoch": epoch, "learning_rate": rate, "tokens": tokens, "flops": flops}
        for name, value in row.items():
            self.columns[name].append(value)

    def end(self, loss: torch.Tensor, norm: torch.Tensor, scale: torch.Tensor, device: torch.device) -> None:
        """Close it with what the step gave; it took the time since the last one."""
        now = time.monotonic()
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated() / 2**20
        else:
            memory = self.process.memory_info().rss / 2**20
        self.columns["seconds"].append(now - self.last_end)
        self.columns["memory_mb"].append(memory)
        self.waiting.append(torch.stack([loss.double(), norm.double(), scale.double()]))
        self.last_end = now
        if self.bar:
            self.bar.update(self.step - self.bar.n)

    def sync(self) -> None:
        """Fetch the losses and norms that wait."""
        if not self.waiting:
            return
        for loss, norm, scale in torch.stack(self.waiting).tolist():
            self.columns["loss"].append(loss)
            self.columns["inverse_temperature"].append(scale)
            self.columns["gradient_norm"].append(norm if math.isfinite(norm) else math.nan)
        self.waiting = []
        last = self.columns["loss"][-50:]
        if self.bar:
            self.bar.set_postfix_str(f"loss {sum(last) / len(last):.3f}", refresh=False)
        if self.bar and self.bar.total and time.monotonic() - self.last_progress_at > MINUTE:  # a log file has no bar
            self.last_progress_at = time.monotonic()
            seconds = self.columns["seconds"][-50:]
            minutes_left = (self.bar.total - self.step) * sum(seconds) / len(seconds) / 60
            log.info(
                "step %d of %d, loss %.3f, some %.0f minutes left",
                self.step,
                self.bar.total,
                sum(last) / len(last),
                minutes_left,
            )

    def truncate(self, steps: int) -> None:
        """Forget what came after `steps` steps."""
        for name, values in self.columns.items():
            self.columns[name] = values[:steps]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The rows so far, for the state on disk."""
        return {f"log/{name}": torch.tensor(values, dtype=_dtype(name)) for name, values in self.columns.items()}

    def facts(self) -> dict[str, object]:
        """The checkpoints so far and the time they took, for the state on disk."""
        return {"rows": self.checkpoints, "spent": resource_usage.elapsed()}

    def restore(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Go on from what `tensors` and `facts` gave."""
        self.columns = {name: tensors[f"log/{name}"].tolist() for name in self.columns}
        self.checkpoints = facts["rows"]
        resource_usage.earlier = tuple(facts.get("spent", (0.0, 0.0)))
        self.last_end = time.monotonic()

    def write(self, keys: dict[str, object], recipe: dict[str, object], folder: Path) -> None:
        """The tables `training`, `times` and, last, `checkpoints`, which keeps the `recipe`."""
        logged = {name: self.columns[name] for name in LOGGED}
        tables.write("training", {**keys, **logged}, folder / "training.parquet")
        timed = {name: self.columns[name] for name in TIMED}
        if self.before:
            timed = {name: [value, *timed[name]] for name, value in zip(TIMED, (0, self.before, 0.0), strict=True)}
        tables.write("training_times", {**keys, **timed}, folder / "times.parquet")
        rows = {name: [row[name] for row in self.checkpoints] for name in self.checkpoints[0]}
        tables.write("checkpoints", rows, folder / "checkpoints.parquet", origin={RECIPE: recipe})


def _dtype(name: str) -> torch.dtype:
    return torch.int64 if name in ("step", "tokens") else torch.float64
