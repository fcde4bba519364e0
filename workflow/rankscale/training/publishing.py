"""What a run publishes: its checkpoints as it reaches them, and all declared files together at its end."""

import os
import shutil

import numpy as np
import torch

from rankscale.core import atomic_files
from rankscale.core.layout import FINAL, PUBLISHED
from rankscale.models import checkpoints
from rankscale.models.base import Ranker
from rankscale.storage.digests import content_hash
from rankscale.text.token_store import TOKENIZER, tokenizer_digest
from rankscale.training.setup import TrainingRun

# Settings without which a checkpoint cannot be used, beside its inverse temperature.
USED_WITH = ("output_dim", "query_length", "passage_length")


class WeightAverage:
    """The mean of a model's weights after each of a run's last steps; over the share `share` of all `steps`.

    Kept as sums in float64, which a state on disk holds as they are: a killed run ends with the same bytes. Without a
    share there is nothing to do.
    """

    def __init__(self, share: float | None, steps: int) -> None:
        self.count = 0 if share is None else max(round(share * steps), 1)
        self.first = steps - self.count + 1
        self.sums: dict[str, torch.Tensor] = {}

    def add(self, model: Ranker, step: int) -> None:
        """Take in the weights as they are after `step`, if that is one of the last ones."""
        if not self.count or step < self.first:
            return
        for name, weight in model.named_parameters():
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(weight, dtype=torch.float64, requires_grad=False)
            self.sums[name] += weight.detach()

    def apply(self, model: Ranker) -> None:
        """Give the model the mean in the place of its weights; all of the last steps have been taken in."""
        with torch.no_grad():
            for name, weight in model.named_parameters() if self.count else ():
                weight.copy_(self.sums[name] / self.count)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The sums so far, for the state on disk; how many steps they are of follows from the state's own."""
        return {f"average/{name}": total for name, total in self.sums.items()}

    def restore(self, tensors: dict[str, torch.Tensor], device: torch.device) -> None:
        """Go on from what `tensors` gave."""
        prefix = "average/"
        self.sums = {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}


class CheckpointWriter:
    """Writes the checkpoints of a run among its states; their rows of the checkpoints table go to its log."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.hashes: dict[str, str] = {}  # of the checkpoints saved so far, by file name

    def snapshot(self, step: int) -> None:
        """Save the model as it stands after `step`."""
        self._save(str(step), step, "finished")

    def final(self) -> None:
        """Save the model at the end of the run."""
        self._save(FINAL, self.run.steps, "finished")

    def diverged(self) -> None:
        """Save the model as the final one of a run that diverged, and put it in the place of the snapshots too.

        The whole run is left out, and its snapshots may be broken already; declared files must be there.
        """
        self.run.record.checkpoints = []
        self._save(FINAL, self.run.record.step, "diverged")
        folder = self.run.states.checkpoints
        for step in self.run.options.snapshots:
            shutil.copy(folder / "final.safetensors", folder / f"{step}.safetensors")

    def _save(self, name: str, step: int, status: str) -> None:
        run, options, model = self.run, self.run.options, self.run.learner.model
        layers, hidden = model.shape
        keys = {**run.keys, "step": step}
        row = {
            **keys,
            "subset": options.subset_name,
            "checkpoint": name,
            "layers": layers or None,
            "hidden": hidden,
            **model.parameters_by_part,
            "epoch": step / run.loader.per_epoch,
            "train_tokens": run.before.tokens + int(sum(run.record.columns["tokens"][:step])),
            "train_flops": run.before.flops + float(sum(run.record.columns["flops"][:step])),
            "status": status,
        }
        settings: dict[str, object] = {key: getattr(options, key) for key in USED_WITH}
        settings["inverse_temperature"] = run.learner.inverse_temperature.value
        settings[TOKENIZER] = tokenizer_digest(options.tokens)
        path = run.states.checkpoints / f"{name}.safetensors"
        checkpoints.save_checkpoint(run.ranker, path, {**keys, "pooling": model.pooling, "status": status, **settings})
        self.hashes[path.name] = content_hash(np.fromfile(path, np.uint8))
        run.record.checkpoints.append(row)


def publish(run: TrainingRun) -> None:
    """Put all that was declared under the output folder, the table of checkpoints last, and forget the states."""
    folder, output = run.states.checkpoints, run.options.output
    run.record.write(run.keys, run.options.recipe, folder)
    output.mkdir(parents=True, exist_ok=True)
    (output / PUBLISHED[-1]).unlink(missing_ok=True)
    snapshots = [f"{step}.safetensors" for step in run.options.snapshots]
    for name in (*snapshots, *PUBLISHED):
        with atomic_files.whole(output / name) as beside:
            try:  # a second name, so that a kill half-way leaves the state's own
                os.link(folder / name, beside)
            except OSError:
                shutil.copyfile(folder / name, beside)
    run.states.clear()
