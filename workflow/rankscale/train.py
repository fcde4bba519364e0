"""Train one ranking model on one subset with one seed; publish its declared checkpoints, all or none."""

import argparse
import math
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from torch.nn import functional

from rankscale import command, devices, models, tables
from rankscale.command import log
from rankscale.errors import StudyError
from rankscale.examples import Examples
from rankscale.seeds import generator
from rankscale.store import Tokens


def contrastive_loss(
    queries: torch.Tensor, passages: torch.Tensor, judged: torch.Tensor | None, temperature: float
) -> torch.Tensor:
    """Mean softmax cross-entropy (nats) of each query's positive against its negatives.

    `queries` [b, d]; `passages` [b, k, d], the positive first. With `judged` bool [b, b k] every passage of the
    batch is a negative of every query, except where `judged` marks a false one; without it only its own k - 1.
    """
    b, k, d = passages.shape
    if judged is None:
        scores = torch.einsum("bd,bkd->bk", queries, passages)
        target = torch.zeros(b, dtype=torch.long, device=queries.device)
    else:
        scores = (queries @ passages.reshape(b * k, d).T).masked_fill(judged, -torch.inf)
        target = torch.arange(b, device=queries.device) * k
    return functional.cross_entropy(scores.float() / temperature, target)


def learning_rate(args: argparse.Namespace, step: int, steps: int) -> float:
    """The rate of step `step` (from 1): linear warm-up over a share of the steps, then as scheduled."""
    warm = args.warmup * steps
    if step <= warm:
        return args.learning_rate * step / max(warm, 1)
    left = 1 - (step - 1 - warm) / max(steps - warm, 1)
    shape = {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}
    return args.learning_rate * shape[args.schedule]


def build(args: argparse.Namespace, vocabulary: int) -> models.BiEncoder:
    """The model before its first step; from scratch, its weights are a function of the seed alone."""
    torch.manual_seed(int(generator(args.seed, "weights").integers(2**62)))
    if args.checkpoint:
        encoder = models.pretrained(args.checkpoint)
        places = getattr(encoder.config, "max_position_embeddings", None)
        for key in ("query_length", "passage_length"):
            if places and getattr(args, key) > places:
                raise StudyError(
                    f"training.{key}: {getattr(args, key)} is more than the {places} tokens {args.model} reads"
                )
        if vocabulary > encoder.config.vocab_size:
            raise StudyError(
                f"model {args.model}: its vocabulary has {encoder.config.vocab_size} entries, its tokenizer "
                f"{vocabulary}; name the tokenizer that belongs to the checkpoint"
            )
    else:
        longest = max(args.query_length, args.passage_length)
        encoder = models.from_scratch(args.layers, args.hidden, args.heads, vocabulary, longest)
    return models.BiEncoder(encoder, args.output_dim)


def sequence_flops(lengths: np.ndarray, parts: dict[str, int], layers: int, hidden: int) -> float:
    """Training FLOPs of sequences of `lengths` tokens: 6 N a token, 12 L S H for attention, 6 x head a sequence."""
    per_token = 6 * parts["encoder_parameters"] + 12 * layers * hidden * lengths
    return float((lengths * per_token).sum() + 6 * parts["head_parameters"] * len(lengths))


class Run:
    """One training run: its model, its examples, and the record of each step."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.examples = Examples(
            args.collection,
            args.mined,
            args.split,
            args.train_queries,
            args.subsets,
            args.negatives,
            args.negatives_per_query,
            args.seed,
        )
        self.per_epoch = len(self.examples) // args.batch_size  # the last incomplete batch is dropped
        self.steps = self.per_epoch * args.epochs
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
        self.device = devices.set_up(args.device, args.threads)
        self.queries = Tokens.read(args.tokens, "queries", args.query_length)
        self.documents = Tokens.read(args.tokens, "documents", args.passage_length)
        self.model = build(args, self.documents.special.vocabulary).to(self.device).train()
        self.parts = self.model.parameters_by_part()
        config = self.model.encoder.config
        self.shape = (getattr(config, "num_hidden_layers", 0), config.hidden_size)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay, fused=True
        )
        self.record: dict[str, list] = {
            name: []
            for name in (
                "step",
                "epoch",
                "loss",
                "gradient_norm",
                "learning_rate",
                "tokens",
                "flops",
                "seconds",
            )
        }

    def vectors(self, tokens: Tokens, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Vectors of some texts, and how many tokens each has."""
        ids, lengths = tokens.batch(rows)
        sent = torch.from_numpy(ids).to(self.device), torch.from_numpy(lengths).to(self.device)
        return self.model(*sent), lengths

    def step(self, number: int, order: np.ndarray) -> None:
        """Take step `number` (from 1) and record it. Raises StudyError when the loss is not finite."""
        args, start = self.args, time.monotonic()
        epoch, position = divmod(number - 1, self.per_epoch)
        chosen = order[position * args.batch_size : (position + 1) * args.batch_size]
        queries, documents = self.examples.batch(epoch, position, chosen)
        with devices.sixteen_bits(args.precision, self.device):
            q, q_lengths = self.vectors(self.queries, queries)
            d, d_lengths = self.vectors(self.documents, documents.reshape(-1))
        q, d = q.float(), d.float()  # scores and loss are worth all their digits
        judged = None
        if args.negatives == "mined+in_batch":
            everyone = np.broadcast_to(documents.reshape(1, -1), (len(queries), documents.size))
            judged = self.examples.is_judged(queries, everyone)
            judged[np.arange(len(queries)), np.arange(len(queries)) * documents.shape[1]] = False
            judged = torch.from_numpy(judged).to(self.device)
        loss = contrastive_loss(q, d.view(len(queries), documents.shape[1], -1), judged, args.temperature)
        rate = learning_rate(args, number, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), args.clip or math.inf)
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise StudyError(
                f"{args.model} on {len(self.examples)} queries: the loss is {value} at step {number}; "
                f"try a lower training.learning_rate (now {args.learning_rate}) or training.clip"
            )
        self.optimizer.step()
        lengths = np.concatenate([q_lengths, d_lengths])
        flops = sequence_flops(lengths, self.parts, *self.shape)
        row = (number, number / self.per_epoch, value, float(norm), rate, int(lengths.sum()), flops)
        for column, entry in zip(self.record.values(), (*row, time.monotonic() - start), strict=True):
            column.append(entry)

    def keys(self, step: int | None = None) -> dict[str, object]:
        """The columns that say which run this is."""
        keys = {"model": self.args.model, "train_queries": len(self.examples), "seed": self.args.seed}
        return keys if step is None else {**keys, "step": step}

    def checkpoint(self, name: str, step: int) -> dict[str, object]:
        """Save the model as it stands into the scratch folder; its row of the checkpoints table."""
        layers, hidden = self.shape
        row = {
            **self.keys(step),
            "subset": "all" if self.args.train_queries is None else str(self.args.train_queries),
            "checkpoint": name,
            "layers": layers or None,
            "hidden": hidden,
            **self.parts,
            "epoch": step / self.per_epoch,
            "train_tokens": sum(self.record["tokens"]),
            "train_flops": sum(self.record["flops"]),
            "status": "finished",
        }
        facts = {
            **self.keys(step),
            "output_dim": self.args.output_dim,
            "pooling": "mean",
            "temperature": self.args.temperature,
            "query_length": self.args.query_length,
            "passage_length": self.args.passage_length,
        }
        models.save(self.model, self.args.scratch / f"{name}.safetensors", facts)
        return row

    def train(self) -> None:
        """All steps, then publish checkpoints, log and times under the output folder."""
        args = self.args
        log.info(
            "%s (%d encoder parameters) on %d queries, %d steps: seed %d, %s negatives",
            args.model,
            self.parts["encoder_parameters"],
            len(self.examples),
            self.steps,
            args.seed,
            args.negatives,
        )
        rows, doing = [], f"train {args.model}/{len(self.examples)}"
        bar = command.bar(self.steps, doing, "step")
        for number in range(1, self.steps + 1):
            if (number - 1) % self.per_epoch == 0:
                order = self.examples.epoch((number - 1) // self.per_epoch)
            self.step(number, order)
            bar.update()
            if number % 10 == 0:
                bar.set_postfix_str(f"loss {np.mean(self.record['loss'][-50:]):.3f}")
            if number in args.snapshots:
                rows.append(self.checkpoint(str(number), number))
        bar.close()
        rows.append(self.checkpoint("final", self.steps))
        last = self.record["loss"][-50:]
        log.info("loss %.3f over the last %d steps", np.mean(last), len(last))
        self.publish(rows)

    def publish(self, rows: list[dict[str, object]]) -> None:
        """Write the tables, then move the checkpoints beside them."""
        scratch, record = self.args.scratch, self.record
        keys = self.keys()
        table = {name: [row[name] for row in rows] for name in rows[0]}
        tables.write("checkpoints", table, scratch / "checkpoints.parquet")
        logged = ("step", "epoch", "loss", "gradient_norm", "learning_rate", "tokens")
        tables.write("training", {**keys, **{n: record[n] for n in logged}}, scratch / "training.parquet")
        times = {
            **keys,
            "step": record["step"],
            "seconds": record["seconds"],
            "memory_mb": _memory(self.device),
        }
        tables.write("training_times", times, scratch / "times.parquet")
        self.args.output.mkdir(parents=True, exist_ok=True)
        for file in sorted(scratch.iterdir()):
            file.replace(self.args.output / file.name)
        shutil.rmtree(scratch)


def _memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20


def main(args: argparse.Namespace) -> None:
    """Train, and leave checkpoints and tables in the output folder."""
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    Run(args).train()


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("train", __doc__)
    made.add_argument("--model", required=True, help="its name in tables")
    made.add_argument("--layers", type=int, help="from scratch: layers, hidden size, heads")
    made.add_argument("--hidden", type=int)
    made.add_argument("--heads", type=int)
    made.add_argument("--checkpoint", help="instead: hub id or folder to start from")
    made.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    made.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    made.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives, if needed")
    made.add_argument("--split", default="train")
    made.add_argument("--train-queries", type=lambda v: None if v == "all" else int(v), default=None)
    made.add_argument("--subsets", choices=["nested", "first"], default="nested")
    made.add_argument("--seed", type=int, default=42)
    made.add_argument("--negatives", choices=["mined", "mined+in_batch", "random"], default="mined")
    made.add_argument("--negatives-per-query", type=int, default=1)
    made.add_argument("--batch-size", type=int, default=32)
    made.add_argument("--epochs", type=int, default=3)
    made.add_argument("--learning-rate", type=float, required=True)
    made.add_argument("--schedule", choices=["constant", "linear", "cosine"], default="constant")
    made.add_argument("--warmup", type=float, default=0.0, help="share of the steps")
    made.add_argument("--weight-decay", type=float, default=0.0)
    made.add_argument("--clip", type=float, help="largest norm of a step's gradient")
    made.add_argument("--temperature", type=float, default=1.0)
    made.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of matrix products")
    made.add_argument("--query-length", type=int, default=24, help="tokens, special ones included")
    made.add_argument("--passage-length", type=int, default=128, help="tokens, special ones included")
    made.add_argument("--output-dim", type=int, default=128)
    made.add_argument("--snapshots", type=int, nargs="*", default=[], help="steps to save besides the end")
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--scratch", type=Path, required=True, help="folder for what is not finished yet")
    made.add_argument("--output", type=Path, required=True, help="folder of the run")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
