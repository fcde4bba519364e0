"""One training run: its examples, its model, the record of its steps, and its state on disk."""

import argparse
import os
import shutil

import numpy as np
import torch

from rankscale.core import atomic_files, progress, stage_versions
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models import checkpoints, devices
from rankscale.models.bert import BertShape
from rankscale.models.factory import build_model
from rankscale.models.model_size import parameters_by_part, training_flops
from rankscale.text.token_store import TokenStore
from rankscale.training.batch_loader import BatchLoader
from rankscale.training.distributed import ProcessGroup
from rankscale.training.divergence import first_divergent_step
from rankscale.training.learner import Learner
from rankscale.training.sampler import ExampleSampler
from rankscale.training.saved_states import SavedStates, content_hash
from rankscale.training.schedules import learning_rate
from rankscale.training.training_log import TrainingLog

LAST = "checkpoints.parquet"  # of what is published: where it is, all is
# What a run's result depends on, of its arguments.
RECIPE = (
    *("model", "layers", "hidden", "heads", "split", "train_queries", "subsets", "seed", "negatives"),
    *("negatives_per_query", "batch_size", "micro_batch", "epochs", "learning_rate", "schedule", "warmup"),
    *("weight_decay", "clip", "inverse_temperature", "precision", "gradient_checkpointing", "divergence"),
    *("query_length", "passage_length", "output_dim", "snapshots", "threads"),
)


class Trainer:
    """One training run: its examples, its model, the record of its steps, and its state on disk."""

    def __init__(self, args: argparse.Namespace, processes: ProcessGroup) -> None:
        self.args, self.processes = args, processes
        self.examples = ExampleSampler(
            args.collection,
            args.mined,
            args.split,
            args.train_queries,
            args.subsets,
            args.negatives,
            args.negatives_per_query,
            args.seed,
        )
        self.device = processes.join(devices.set_up_device(args.device, args.threads))
        queries = TokenStore.read(args.tokens, "queries", args.query_length)
        documents = TokenStore.read(args.tokens, "documents", args.passage_length)
        self.examples.refuse_others(queries.ids, documents.ids)
        sizes = args.batch_size, args.micro_batch or 0
        self.batches = BatchLoader(self.examples, queries, documents, *sizes, self.device, processes)
        self.steps = self.batches.per_epoch * args.epochs
        self.refuse_impossible()
        model = build_model(args, documents.special.vocabulary)
        self.parts = parameters_by_part(model)
        config = model.encoder.config
        self.shape = (getattr(config, "num_hidden_layers", 0), config.hidden_size)
        self.record = TrainingLog(processes.first and progress.progress_bar(self.steps, f"train {args.model}", "step"))
        contents = [t for tokens in (queries, documents) for t in (tokens.flat, tokens.starts, tokens.inner)]
        encoder = config._asdict() if isinstance(config, BertShape) else config.to_dict()
        about = [{key: getattr(args, key) for key in RECIPE}, encoder, queries.special, documents.special]
        machine = [stage_versions.TRAIN, torch.__version__, self.device.type, processes.count]
        weights = [value for _, value in sorted(model.state_dict().items())]
        self.fingerprint = content_hash(about, machine, *self.examples.contents(), *contents, *weights)
        self.states = SavedStates(args.scratch, self.fingerprint, args.save_seconds, args.save_steps)
        self.learner = Learner(
            model, self.device, processes, args.precision, args.weight_decay, args.clip, args.inverse_temperature
        )

        self.stopped: int | None = None  # the step at which it diverged
        self.checked = 0  # steps known not to have
        self.digests: dict[str, str] = {}  # of the checkpoints saved so far

    def flops_per_token(self) -> float:
        """Training FLOPs a token of the first batch."""
        lengths = self.batches.batch(0, 0, self.examples.epoch(0)).lengths
        return training_flops(lengths, self.parts, *self.shape) / lengths.sum()

    def refuse_impossible(self) -> None:
        """Raise StudyError for a run without steps, or with a snapshot that is none."""
        args = self.args
        if not self.steps:
            raise StudyError(
                f"training.batch_size: {args.batch_size} is more than the subset's {len(self.examples)} queries"
            )
        late = [s for s in args.snapshots if s >= self.steps]
        if late:
            raise StudyError(
                f"training.snapshots.steps: step {late[0]} is not before the end of the run (step {self.steps}, "
                f"which is saved as final)"
            )

    def checkpoint(self, name: str, step: int, status: str = "finished") -> None:
        """Save the model as it stands among the states; its row of the checkpoints table goes to the record."""
        layers, hidden = self.shape
        keys = {"model": self.args.model, "train_queries": len(self.examples), "seed": self.args.seed, "step": step}
        row = {
            **keys,
            "subset": "all" if self.args.train_queries is None else str(self.args.train_queries),
            "checkpoint": name,
            "layers": layers or None,
            "hidden": hidden,
            **self.parts,
            "epoch": step / self.batches.per_epoch,
            "train_tokens": int(sum(self.record.columns["tokens"][:step])),
            "train_flops": float(sum(self.record.columns["flops"][:step])),
            "status": status,
        }
        told = ("output_dim", "inverse_temperature", "query_length", "passage_length")
        facts = {**keys, "pooling": "mean", "status": status, **{key: getattr(self.args, key) for key in told}}
        path = self.states.checkpoints / f"{name}.safetensors"
        checkpoints.save_checkpoint(self.learner.model, path, facts)
        self.digests[path.name] = content_hash(np.fromfile(path, np.uint8))
        self.record.checkpoints.append(row)

    def resume(self) -> int:
        """Go on from the newest whole state of this recipe; the step it was saved at, 0 if there is none."""
        found = self.states.newest()
        if not found:
            return 0
        tensors, facts = found
        self.learner.restore(tensors)
        self.record.restore(tensors, facts)
        self.digests = facts["checkpoints"]
        log.info("going on from the state at step %d of %d", self.record.step, self.steps)
        return self.record.step

    def save(self) -> None:
        """Keep the state as it is now."""
        if not self.processes.first:
            return
        self.record.settle()
        facts = {**self.record.facts(), "checkpoints": self.digests}
        self.states.save(self.record.step, {**self.learner.tensors(), **self.record.tensors()}, facts)

    def train(self, asked_to_stop: Stop) -> None:
        """All steps that are left, or those until the loss is none. Leaves the process when asked to stop."""
        args, record, first = self.args, self.record, self.processes.first
        lag = 1 if self.device.type == "cpu" else 16  # a GPU that is asked for the loss is waited for
        for batch in self.batches.after(self.resume(), self.steps):
            step = record.step + 1
            rate = learning_rate(args.learning_rate, args.schedule, args.warmup, step, self.steps)
            flops = training_flops(batch.lengths, self.parts, *self.shape)
            record.begin(step / self.batches.per_epoch, rate, int(batch.lengths.sum()), flops)
            record.end(*self.learner.step(batch, rate), self.device)
            if (step % lag == 0 or step in args.snapshots or step == self.steps) and self.astray():
                return
            if step in args.snapshots and first:
                self.checkpoint(str(step), step)
            wish = self.processes.agree(asked_to_stop.signal or int(first and self.states.due(step)))
            if wish and step < self.steps:
                if self.astray():
                    return
                self.save()
                if wish == 1:
                    continue  # a signal that came while the state was saved ends the next step
                asked_to_stop.signal = wish  # any process's is everyone's
                asked_to_stop.leave_if_asked(f"the state at step {step} is kept, the same command goes on from it")

    def astray(self) -> bool:
        """Whether the run has diverged; says so, with what to try."""
        args, record = self.args, self.record
        record.settle()
        candidates = (1 + args.negatives_per_query) * (args.batch_size if args.negatives == "mined+in_batch" else 1)
        norms = record.columns["gradient_norm"]
        if self.learner.scaler.is_enabled():  # half precision leaves a step out whose gradient is too large
            norms = [0.0] * len(norms)
        self.stopped = first_divergent_step(
            record.columns["loss"], norms, float(np.log(candidates)), args.divergence, self.checked
        )
        self.checked = record.step
        if self.stopped is None:
            return False
        log.warning(
            "%s on %d queries, seed %d, diverged at step %d of %d (loss %.3g): it is published as such and left out of "
            "the laws; try a lower training.learning_rate (now %g)%s%s",
            *(args.model, len(self.examples), args.seed, self.stopped, self.steps),
            *(record.columns["loss"][self.stopped - 1], args.learning_rate),
            "" if args.warmup else ", a warmup",
            "" if args.clip else ", a clip",
        )
        record.cut(self.stopped - 1)
        return True

    def publish(self) -> None:
        """The last checkpoint, then all that was declared under the output folder, the table of them last."""
        if self.stopped is None:
            self.save()  # should publishing fail, nothing is trained again
            self.checkpoint("final", self.steps)
            last = self.record.columns["loss"][-50:]
            log.info("loss %.3f over the last %d steps", np.mean(last), len(last))
        else:
            # The whole run is left out, and its snapshots may be broken already; declared files must be there.
            self.record.checkpoints = []
            self.checkpoint("final", self.record.step, "diverged")
            for step in self.args.snapshots:
                shutil.copy(
                    self.states.checkpoints / "final.safetensors", self.states.checkpoints / f"{step}.safetensors"
                )
        place, output = self.states.checkpoints, self.args.output
        keys = {"model": self.args.model, "train_queries": len(self.examples), "seed": self.args.seed}
        self.record.write(keys, place)
        output.mkdir(parents=True, exist_ok=True)
        (output / LAST).unlink(missing_ok=True)
        names = [f"{name}.safetensors" for name in ("final", *self.args.snapshots)]
        for name in (*names, "training.parquet", "times.parquet", LAST):
            with atomic_files.whole(output / name) as beside:
                try:  # a second name, so that a kill half-way leaves the state's own
                    os.link(place / name, beside)
                except OSError:
                    shutil.copyfile(place / name, beside)
        self.states.clear()
