"""Training steps of every size at the published batch, against the matrix products in them; on a GPU also against a
plain implementation, and what the whole published grid takes. Random weights, random tokens of real lengths.

python -m tests.benchmarks.sizes [cpu|cuda]
"""

import sys
import time

import numpy as np
import torch
from torch.nn import functional

from rankscale.models import bi_encoder, devices
from rankscale.models.bert import Bert, BertShape
from rankscale.models.kinds.pairs import Joined
from rankscale.models.model_size import parameters_by_part, training_flops
from rankscale.models.packing import Apart
from rankscale.training.batch_loader import Batch
from rankscale.training.distributed import ProcessGroup
from rankscale.training.learner import Learner
from rankscale.training.objectives.base import Targets
from rankscale.training.objectives.contrastive.infonce import InfoNCE
from tests.benchmarks.gpu import passages
from tests.benchmarks.measure import table

ON_CPU = [(1, 20), (2, 64), (2, 128), (4, 128), (2, 256), (4, 256), (2, 512)]
ON_GPU = [(n, h) for n in (2, 4, 6, 8, 10, 12) for h in (128, 256, 512, 768)] + [(24, 1024)]
QUERIES, PASSAGES, DIMENSION, VOCABULARY = 32, 17, 1024, 30_522
SUBSETS, EPOCHS = (1000, 3000, 6000, 10_000, 30_000, 60_000, 100_000, 502_939), 3


def rate(device: torch.device, kind: torch.dtype, n: int | None = None) -> float:
    """FLOP/s of a large matrix product."""
    n = n or (2048 if device.type == "cpu" else 8192)
    a = torch.randn(n, n, device=device, dtype=kind)
    best = 0.0
    for _ in range(8):
        seconds = timed(lambda: [a @ a for _ in range(4)], device)
        best = max(best, 4 * 2 * n**3 / seconds)
    return best


def timed(work, device: torch.device) -> float:
    """Seconds of `work`, once the device has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.monotonic()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - start


def batches(
    count: int,
    device: torch.device,
    queries: int = QUERIES,
    passages_each: int = PASSAGES,
    reads: Apart | Joined | None = None,
) -> list[Batch]:
    """Batches as the published recipe draws them, as a model reads them (None: queries and passages apart)."""
    reads = reads or Apart()
    each = queries * passages_each
    documents, asking = passages(each * count), passages(queries * count)
    asking.content_lengths = np.clip(asking.content_lengths // 8, 3, 22)  # some 9 tokens
    asking.lengths = asking.content_lengths + 2
    out = []
    for i in range(count):
        rows, read = np.arange(i * queries, (i + 1) * queries), np.arange(i * each, (i + 1) * each)
        taken = asking, rows, documents, read.reshape(queries, passages_each)
        part, lengths = reads.pack(*taken).to(device), reads.lengths(*taken)
        targets = Targets(torch.zeros(queries, dtype=torch.long, device=device))
        out.append(Batch([part], (queries, passages_each), targets, lengths))
    return out


def ours(layers: int, hidden: int, heads: int, made: list[Batch], device: torch.device) -> dict[str, float]:
    encoder = Bert(BertShape(VOCABULARY, hidden, layers, heads, 4 * hidden))
    model = bi_encoder.BiEncoder(encoder, DIMENSION)
    parts = parameters_by_part(model)
    precision = "bf16" if device.type == "cuda" else "fp32"
    learner = Learner(model, InfoNCE(in_batch=False), device, ProcessGroup(), precision, 0.0, None, 1.0)
    for batch in made[:3]:
        learner.step(batch, 1e-5)
    # On a GPU many steps are timed together, since it works behind; on a processor each is, for the median.
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        seconds = timed(lambda: [learner.step(b, 1e-5) for b in made[3:]], device) / len(made[3:])
    else:
        seconds = float(np.median([timed(lambda b=b: learner.step(b, 1e-5), device) for b in made[3:]]))
    flops = np.mean([training_flops(b.lengths, parts, layers, hidden) for b in made[3:]])
    tokens = np.mean([b.lengths.sum() for b in made[3:]])
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"seconds": seconds, "flops": float(flops), "tokens": float(tokens), "memory": memory}


def plain(layers: int, hidden: int, heads: int, made: list[Batch], device: torch.device) -> float:
    """Seconds a step of the published procedure, its texts tokenized already: padded, three forward passes."""
    from transformers import BertConfig, BertModel

    shape = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(vocab_size=VOCABULARY, intermediate_size=4 * hidden, **shape, **no_dropout)
    encoder, head = BertModel(config, add_pooling_layer=False).to(device), torch.nn.Linear(hidden, DIMENSION).to(device)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-5)

    queries, each = made[0].shape
    passages_of = queries + np.arange(queries * each)

    def encode(batch: Batch, rows: np.ndarray) -> torch.Tensor:
        ids, inside = batch.parts[0].padded()
        some = batch.parts[0].back[torch.from_numpy(rows).to(device)]
        width = int(inside[some].sum(1).max())
        ids, inside = ids[some, :width], inside[some, :width]
        states = encoder(input_ids=ids, attention_mask=inside.long()).last_hidden_state
        return head((states * inside[..., None]).sum(1) / inside.sum(1, keepdim=True))

    def step(batch: Batch) -> None:
        first = passages_of[::each]
        others = np.setdiff1d(passages_of, first)
        with devices.autocast_to("bf16" if device.type == "cuda" else "fp32", device):
            q, p, n = (encode(batch, rows) for rows in (np.arange(queries), first, others))
        negative = torch.einsum("bd,bkd->bk", q, n.view(queries, each - 1, -1))
        scores = torch.cat([(q * p).sum(1, keepdim=True), negative], 1).float()
        optimizer.zero_grad()
        functional.cross_entropy(scores, torch.zeros(queries, dtype=torch.long, device=device)).backward()
        optimizer.step()

    for batch in made[:3]:
        step(batch)
    return timed(lambda: [step(b) for b in made[3:]], device) / len(made[3:])


def main(name: str = "cpu") -> None:
    device = devices.set_up_device(name, 2)
    on_gpu = device.type == "cuda"
    made = batches(33 if on_gpu else 9, device)
    peak = rate(device, torch.bfloat16 if on_gpu else torch.float32)
    rows, hours = [], 0.0
    steps = sum(size // QUERIES for size in SUBSETS) * EPOCHS
    for layers, hidden in ON_GPU if on_gpu else ON_CPU:
        heads = max(2, hidden // 64)
        found = ours(layers, hidden, heads, made, device)
        row = {"size": f"L{layers}H{hidden}", "steps/s": 1 / found["seconds"]}
        row |= {"tokens/s": found["tokens"] / found["seconds"]}
        row |= {"matrix products alone, s": found["flops"] / peak, "share": found["flops"] / peak / found["seconds"]}
        if on_gpu:
            other = plain(layers, hidden, heads, made, device)
            row |= {"GB": found["memory"], "times plain": other / found["seconds"]}
            hours += steps * found["seconds"] / 3600
        rows.append(row)
        torch.cuda.empty_cache()
    what = torch.cuda.get_device_name() if on_gpu else "processor"
    table(f"Steps of 32 x (1 + 17) texts on {what}, {peak / 1e12:.3g} TFLOP/s in a large product", rows)
    if on_gpu:
        print(f"\nThe published grid, {steps:,} steps of each size: {hours:.1f} GPU hours.", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
