"""Train one ranking model on one subset with one seed; publish its declared checkpoints, all or none."""

import argparse
from pathlib import Path

from rankscale import command
from rankscale.command import log
from rankscale.processes import Processes, Stop
from rankscale.state import alone
from rankscale.training import Run


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    stop, processes = Stop(), Processes()
    if not processes.first:
        log.setLevel("ERROR")
    lock = alone(args.scratch) if processes.first else None
    run = Run(args, processes)
    log.info(
        "%s on %d queries, %d steps, seed %d, %s negatives: %s parameters in the encoder, %s in the head, %s in "
        "embeddings; %.3g FLOPs a token and step",
        *(args.model, len(run.examples), run.steps, args.seed, args.negatives),
        *(f"{run.parts[f'{part}_parameters']:,}" for part in ("encoder", "head", "embedding")),
        run.flops_per_token(),
    )
    run.train(stop)
    if processes.first:
        run.publish()
    processes.leave()
    if lock:
        lock.close()


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return int(text)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("train", __doc__)
    made.add_argument("--model", required=True, help="its name in tables")
    made.add_argument("--layers", type=count, help="from scratch: layers, hidden size, heads")
    made.add_argument("--hidden", type=count)
    made.add_argument("--heads", type=count)
    made.add_argument("--checkpoint", help="instead: hub id or folder to start from")
    made.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    made.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    made.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives, if needed")
    made.add_argument("--split", default="train")
    made.add_argument("--train-queries", type=lambda v: None if v == "all" else int(v), default=None)
    made.add_argument("--subsets", choices=["nested", "first"], default="nested")
    made.add_argument("--seed", type=int, default=42)
    made.add_argument("--negatives", choices=["mined", "mined+in_batch", "random"], default="mined")
    made.add_argument("--negatives-per-query", type=count, default=1)
    made.add_argument("--batch-size", type=count, default=32, help="queries a step")
    made.add_argument("--micro-batch", type=count, help="queries a forward pass; fewer need less memory")
    made.add_argument("--gradient-checkpointing", action="store_true", help="less memory for a third more time")
    made.add_argument("--epochs", type=count, default=3)
    made.add_argument("--learning-rate", type=positive, required=True)
    made.add_argument("--schedule", choices=["constant", "linear", "cosine"], default="constant")
    made.add_argument("--warmup", type=float, default=0.0, help="share of the steps")
    made.add_argument("--weight-decay", type=float, default=0.0)
    made.add_argument("--clip", type=positive, help="largest norm of a step's gradient")
    made.add_argument("--divergence", type=positive, default=5.0, help="stop at a loss so many times the first ones")
    made.add_argument("--inverse-temperature", type=positive, default=1.0, help="multiplies the scores in the softmax")
    made.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of matrix products")
    made.add_argument("--query-length", type=count, default=24, help="tokens, special ones included")
    made.add_argument("--passage-length", type=count, default=128, help="tokens, special ones included")
    made.add_argument("--output-dim", type=count, default=128)
    made.add_argument("--snapshots", type=count, nargs="*", default=[], help="steps to save besides the end")
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=count, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--save-seconds", type=float, default=120.0, help="keep the state every so often")
    made.add_argument("--save-steps", type=count, help="or every so many steps")
    made.add_argument("--scratch", type=Path, required=True, help="folder for what is not finished yet")
    made.add_argument("--output", type=Path, required=True, help="folder of the run")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
