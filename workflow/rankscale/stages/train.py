"""Train one ranking model on one subset with one seed; publish its declared checkpoints, all or none."""

import argparse
import tempfile
from typing import TYPE_CHECKING

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.core.options import add_options, parsed
from rankscale.training.options import TrainOptions

if TYPE_CHECKING:
    from rankscale.training.setup import TrainingRun


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    stop = Stop()
    options = parsed(TrainOptions, args)
    refuse_unfit(options)
    # torch takes two seconds to import: wrong arguments are said before, and a signal is remembered.
    from rankscale.training.distributed import ProcessGroup
    from rankscale.training.saved_states import acquire_run_lock
    from rankscale.training.setup import set_up
    from rankscale.training.trainer import Trainer

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


def _log_beginning(run: "TrainingRun") -> None:
    options, model = run.options, run.learner.model
    batch = run.loader.batch(0, 0, run.sampler.epoch(0))
    log.info(
        "%s on %d queries, %d steps of %d queries (%d at once, %d processes), seed %d, %s negatives, %s: %s parameters "
        "in the encoder, %s in the head, %s in embeddings; %.3g FLOPs a token and step",
        *(options.model, len(run.sampler), run.steps, options.batch_size, run.loader.micro_batch, run.processes.count),
        *(options.seed, options.negatives, options.precision),
        *(f"{model.parameters_by_part[f'{part}_parameters']:,}" for part in ("encoder", "head", "embedding")),
        run.learner.flops(batch) / batch.lengths.sum(),
    )


def refuse_unfit(options: TrainOptions) -> None:
    """Raise StudyError for options that do not go together, and for folders that cannot be written."""
    shape = {name: getattr(options, name) for name in ("layers", "hidden", "heads")}
    if options.checkpoint and any(shape.values()):
        raise StudyError("--checkpoint: has a shape of its own; leave out --layers, --hidden and --heads")
    if not options.checkpoint and not all(shape.values()):
        raise StudyError(f"--{next(k for k, v in shape.items() if not v)}: is missing; or give a --checkpoint")
    if options.hidden and options.heads and options.hidden % options.heads:
        raise StudyError(f"--heads: {options.heads} heads do not divide hidden {options.hidden}")
    output, scratch = options.output.resolve(), options.scratch.resolve()
    if output == scratch or scratch in output.parents or output in scratch.parents:
        raise StudyError(
            f"--scratch: {options.scratch} and --output {options.output} must lie apart; scratch is emptied"
        )
    for folder in (options.output, options.scratch):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    files = (path for path in options.output.iterdir() if path.suffix in (".safetensors", ".parquet"))
    blocked = next((path for path in files if path.is_dir()), None)
    if blocked:
        raise StudyError(f"{blocked}: is a folder, where a file of this run is to be; move it away")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("train", __doc__)
    add_options(parser, TrainOptions)
    return parser
