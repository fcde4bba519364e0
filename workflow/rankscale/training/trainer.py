"""The steps of a run: taken, logged, watched, and kept so that a killed run goes on."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.training.distributed import ProcessGroup
from rankscale.training.divergence import DivergenceMonitor
from rankscale.training.options import TrainOptions
from rankscale.training.publishing import CheckpointWriter, WeightAverage, publish
from rankscale.training.saved_states import acquire_run_lock
from rankscale.training.schedules import learning_rate
from rankscale.training.setup import TrainingRun

Options = TypeVar("Options", bound=TrainOptions)


def carry_out(options: Options, set_up: Callable[[Options, ProcessGroup], TrainingRun], stop: Stop) -> None:
    """Train a run from where it is to its end, in as many processes as there are, and publish it.

    Raises StudyError for what cannot be trained.
    """
    processes = ProcessGroup()
    if not processes.is_main:
        log.setLevel("ERROR")
    lock = acquire_run_lock(options.scratch, stop) if processes.is_main else None
    try:
        run = set_up(options, processes)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if "alloc" not in str(error) and "overflow" not in str(error) and not isinstance(error, MemoryError):
            raise
        first = str(error).splitlines()[0]
        raise StudyError(f"{options.model}: the model does not fit in memory ({first})") from error
    _log_beginning(run)
    trainer = Trainer(run)
    trainer.train(stop)
    if processes.is_main:
        trainer.publish()
    stop.ignore()
    processes.destroy()
    if lock:
        lock.close()


def _log_beginning(run: TrainingRun) -> None:
    options, model = run.options, run.learner.model
    lengths = run.loader.batch(0, 0, run.sampler.epoch(0)).lengths
    log.info(
        "%s on %d queries, %d steps of %d queries (%d at once, %d processes), seed %d, %s negatives, %s: %s parameters "
        "in the encoder, %s in the head, %s in embeddings; %.3g FLOPs a token and step",
        *(options.model, len(run.sampler), run.steps, options.batch_size, run.loader.micro_batch, run.processes.count),
        *(options.seed, options.negatives, options.precision),
        *(f"{model.parameters_by_part[f'{part}_parameters']:,}" for part in ("encoder", "head", "embedding")),
        model.training_flops(lengths) / lengths.sum(),
    )


class Trainer:
    """Takes a run from its newest state to its end, or to where its loss is none."""

    def __init__(self, run: TrainingRun) -> None:
        self.run, self.checkpoints = run, CheckpointWriter(run)
        self.average = WeightAverage(run.options.average, run.steps)
        options, objective = run.options, run.learner.objective
        columns = (1 + options.negatives_per_query) * (options.batch_size if objective.in_batch else 1)
        columns += options.mixtures
        skips_steps = run.learner.scaler.is_enabled()
        self.divergence = DivergenceMonitor(options, objective.chance(columns), skips_steps)
        self.divergent_step: int | None = None

    def train(self, stop: Stop) -> None:
        """All steps that are left, or those until the run diverges. Leaves the process when asked to stop."""
        run, options, record = self.run, self.run.options, self.run.record
        if not run.before.is_finished:
            log.warning("the run that this one goes on from diverged: it is published as such, with the same weights")
            self.divergent_step = 0
            return
        lag = 1 if run.device.type == "cpu" else 16  # a GPU that is asked for the loss is waited for
        for batch in run.loader.iterate_from(self.resume(), run.steps):
            step = record.step + 1
            rate = learning_rate(options.learning_rate, options.schedule, options.warmup, step, run.steps)
            flops = run.learner.flops(batch)
            record.begin(step / run.loader.per_epoch, rate, int(batch.lengths.sum()), flops)
            record.end(*run.learner.step(batch, rate), run.device)
            if run.processes.is_main:
                self.average.add(run.learner.model, step)
            if (step % lag == 0 or step in options.snapshots or step == run.steps) and self.has_diverged():
                return
            if step in options.snapshots and run.processes.is_main:
                self.checkpoints.snapshot(step)
            due = run.processes.is_main and run.states.due(step)
            request = run.processes.all_reduce_max(stop.signal or int(due))
            if request and step < run.steps:
                if self.has_diverged():
                    return
                self.save()
                if request == 1:
                    continue  # a signal that came while the state was saved ends the next step
                stop.signal = request  # any process's is everyone's
                stop.exit_if_requested(f"the state at step {step} is kept, the same command goes on from it")

    def resume(self) -> int:
        """Go on from the newest whole state of this recipe; the step it was saved at, 0 if there is none."""
        run, state = self.run, self.run.states.newest()
        if not state:
            return 0
        tensors, facts = state
        run.learner.restore(tensors)
        run.record.restore(tensors, facts)
        self.average.restore(tensors, run.device)
        self.checkpoints.hashes = facts["checkpoints"]
        log.info("going on from the state at step %d of %d", run.record.step, run.steps)
        return run.record.step

    def save(self) -> None:
        """Keep the state as it is now."""
        run, record = self.run, self.run.record
        if not run.processes.is_main:
            return
        record.sync()
        facts = {**record.facts(), "checkpoints": self.checkpoints.hashes}
        tensors = {**run.learner.tensors(), **record.tensors(), **self.average.tensors()}
        run.states.save(record.step, tensors, facts)

    def has_diverged(self) -> bool:
        """Whether the run has diverged; if so, says it and forgets the steps from there on."""
        record = self.run.record
        record.sync()
        step = self.divergent_step = self.divergence.check(record)
        if step is None:
            return False
        self.divergence.warn(step, self.run.steps, record.columns["loss"][step - 1], len(self.run.sampler))
        record.truncate(step - 1)
        return True

    def publish(self) -> None:
        """The last checkpoint, then all that was declared."""
        if self.divergent_step is None:
            self.save()  # should publishing fail, nothing is trained again
            self.average.apply(self.run.learner.model)
            self.checkpoints.final()
            last = self.run.record.columns["loss"][-50:]
            log.info("loss %.3f over the last %d steps", np.mean(last), len(last))
        else:
            self.checkpoints.diverged()
        publish(self.run)
