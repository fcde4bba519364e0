"""Train one ranking model on one subset with one seed; publish its declared checkpoints, all or none."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    stop = Stop()
    refuse_unfit(args)
    # torch takes two seconds to import: wrong arguments are said before, and a signal is remembered.
    from rankscale.training.distributed import ProcessGroup
    from rankscale.training.saved_states import acquire_run_lock
    from rankscale.training.trainer import Trainer

    processes = ProcessGroup()
    if not processes.first:
        log.setLevel("ERROR")
    lock = acquire_run_lock(args.scratch, stop) if processes.first else None
    try:
        run = Trainer(args, processes)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if "alloc" not in str(error) and "overflow" not in str(error) and not isinstance(error, MemoryError):
            raise
        raise StudyError(f"{args.model}: the model does not fit in memory ({str(error).splitlines()[0]})") from error
    log.info(
        "%s on %d queries, %d steps of %d queries (%d at once, %d processes), seed %d, %s negatives, %s: %s parameters "
        "in the encoder, %s in the head, %s in embeddings; %.3g FLOPs a token and step",
        *(args.model, len(run.examples), run.steps, args.batch_size, run.batches.part, processes.count),
        *(args.seed, args.negatives, args.precision),
        *(f"{run.parts[f'{part}_parameters']:,}" for part in ("encoder", "head", "embedding")),
        run.flops_per_token(),
    )
    run.train(stop)
    if processes.first:
        run.publish()
    stop.ignore()
    processes.leave()
    if lock:
        lock.close()


def refuse_unfit(args: argparse.Namespace) -> None:
    """Raise StudyError for arguments that do not go together, and for folders that cannot be written."""
    shape = {name: getattr(args, name) for name in ("layers", "hidden", "heads")}
    if args.checkpoint and any(shape.values()):
        raise StudyError("--checkpoint: has a shape of its own; leave out --layers, --hidden and --heads")
    if not args.checkpoint and not all(shape.values()):
        raise StudyError(f"--{next(k for k, v in shape.items() if not v)}: is missing; or give a --checkpoint")
    if not args.checkpoint and args.hidden % args.heads:
        raise StudyError(f"--heads: {args.heads} heads do not divide hidden {args.hidden}")
    output, scratch = args.output.resolve(), args.scratch.resolve()
    if output == scratch or scratch in output.parents or output in scratch.parents:
        raise StudyError(f"--scratch: {args.scratch} and --output {args.output} must lie apart; scratch is emptied")
    for folder in (args.output, args.scratch):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    blocked = next((p for p in args.output.iterdir() if p.is_dir() and p.suffix in (".safetensors", ".parquet")), None)
    if blocked:
        raise StudyError(f"{blocked}: is a folder, where a file of this run is to be; move it away")


def within(low: float, high: float, kind: type = float, above: bool = False) -> Callable[[str], float]:
    """A number from `low` (or above it) to `high`, as argparse reads it."""

    def read(text: str) -> float:
        value = kind(text)
        if not (low < value if above else low <= value) or not value <= high:
            raise argparse.ArgumentTypeError(
                f"{text} is not {'above' if above else 'at least'} {low} and at most {high}"
            )
        return value

    read.__name__ = "number"
    return read


positive = within(0, 1e30, above=True)
count = within(1, 2**31 - 1, int)


def subset(text: str) -> int | None:
    """A number of queries, or all."""
    return None if text == "all" else int(count(text))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("train", __doc__)
    made.add_argument("--model", required=True, help="its name in tables")
    made.add_argument("--layers", type=count, help="from scratch: layers, hidden size, heads")
    made.add_argument("--hidden", type=count)
    made.add_argument("--heads", type=count)
    made.add_argument("--checkpoint", help="instead: hub id or folder to start from")
    made.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    made.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    made.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives, if needed")
    made.add_argument("--split", default="train")
    made.add_argument("--train-queries", type=subset, help="so many, or all")
    made.add_argument("--subsets", choices=["nested", "first"], default="nested")
    made.add_argument("--seed", type=within(0, 2**62, int), default=42)
    made.add_argument("--negatives", choices=["mined", "mined+in_batch", "random"], default="mined")
    made.add_argument("--negatives-per-query", type=count, default=1)
    made.add_argument("--batch-size", type=count, default=32, help="queries a step")
    made.add_argument("--micro-batch", type=count, help="queries a forward pass; fewer need less memory")
    made.add_argument("--gradient-checkpointing", action="store_true", help="less memory for a third more time")
    made.add_argument("--epochs", type=count, default=3)
    made.add_argument("--learning-rate", type=positive, required=True)
    made.add_argument("--schedule", choices=["constant", "linear", "cosine"], default="constant")
    made.add_argument("--warmup", type=within(0, 1), default=0.0, help="share of the steps")
    made.add_argument("--weight-decay", type=within(0, 1e6), default=0.0)
    made.add_argument("--clip", type=positive, help="largest norm of a step's gradient")
    made.add_argument(
        "--divergence",
        type=within(1, 1e30, above=True),
        default=5.0,
        help="stop at a loss so many times the first ones",
    )
    made.add_argument("--inverse-temperature", type=positive, default=1.0, help="multiplies the scores in the softmax")
    made.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of matrix products")
    made.add_argument("--query-length", type=count, default=24, help="tokens, special ones included")
    made.add_argument("--passage-length", type=count, default=128, help="tokens, special ones included")
    made.add_argument("--output-dim", type=count, default=128)
    made.add_argument("--snapshots", type=count, nargs="*", default=[], help="steps to save besides the end")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    made.add_argument(
        "--threads", type=within(1, 1024, int), default=1, help="of torch; another number gives other rounding"
    )
    made.add_argument("--save-seconds", type=within(0, 1e9), default=120.0, help="keep the state every so often")
    made.add_argument("--save-steps", type=count, help="or every so many steps")
    made.add_argument("--scratch", type=Path, required=True, help="folder for what is not finished yet")
    made.add_argument("--output", type=Path, required=True, help="folder of the run")
    return made
