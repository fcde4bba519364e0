"""The parts of `gpu_all`, each a generator of rows; a part stops between two rows when its time is up.

Beside the project they import torch, transformers, pyarrow and numpy only, FAISS where they run on a processor.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from tests.benchmarks import gpu, sizes

if TYPE_CHECKING:
    from rankscale.models.base import Ranker

SPEC_PEAK = {  # dense 16-bit tensor products as vendors state them, TFLOP/s
    "H100 PCIe": 756,
    "H100": 989,
    "H200": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "T4": 65,
    "V100": 125,
    "4090": 165,
    "3090": 71,
}
Rows = Iterator[dict[str, object]]


class Task(NamedTuple):
    """What a part runs on, by when it must have ended (time.monotonic), and whether sizes are those of a test."""

    device: torch.device
    deadline: float
    tiny: bool

    def over(self, next_row: float = 0.0) -> bool:
        """Whether the time is up, or would be after another row of `next_row` seconds."""
        return time.monotonic() + next_row > self.deadline


def attempt(what: str, work: Callable[[], dict[str, object]]) -> dict[str, object]:
    """A row, or why there is none: one that fails does not take the others along."""
    try:
        return {"what": what, **work()}
    except ModuleNotFoundError as error:
        return {"what": what, "missing": error.name}
    except Exception as error:
        if isinstance(error, torch.AcceleratorError):
            raise  # nothing after it can be believed
        return {"what": what, "failed": f"{type(error).__name__}: {error}"[:300]}


def compared(ours: np.ndarray, reference: np.ndarray, allowed: float) -> dict[str, object]:
    """How far numbers are off their reference, over its largest; whether that is as much as rounding explains."""
    largest = float(np.abs(np.asarray(ours, float) - np.asarray(reference, float)).max() / np.abs(reference).max())
    return {"largest difference": largest, "allowed": allowed, "agrees": bool(largest <= allowed)}


def agreement(task: Task) -> Rows:
    """Encoding, training, retrieval and mining on the device against the processor's, or plain, numbers."""
    from rankscale.models.registry import RANKERS
    from rankscale.training.objectives.registry import OBJECTIVES

    yield attempt("retrieve: the best 100 of 20,000", lambda: _retrieval(task))
    yield attempt("mine: lists of 50", lambda: _mining(task))
    for kind in RANKERS:
        for precision, allowed in (("fp32", 1e-4), ("bf16", 0.05), ("fp16", 0.01)):
            yield attempt(
                f"encode: {kind}, {precision}", lambda k=kind, p=precision, a=allowed: _encoding(task, k, p, a)
            )
    for kind in (name for name, ranker in RANKERS.items() if ranker.is_built):
        yield attempt(f"train: {kind}, 5 steps", lambda kind=kind: _training(task, kind))
    for name in OBJECTIVES:
        if task.over():
            return
        yield attempt(f"loss: {name}", lambda name=name: _loss(task, name))


def _units(n: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def _retrieval(task: Task) -> dict[str, object]:
    from rankscale.search.exact_search import TopK

    documents, queries, depth = _units(20_000 if not task.tiny else 500, 128, 0), _units(64, 128, 1), 100
    best = TopK(queries, depth, task.device.type)
    half = len(documents) // 2
    for part in (slice(0, half), slice(half, None)):
        best.add(np.arange(len(documents))[part], documents[part])
    scores, rows = best.result()
    exact = queries.astype(float) @ documents.T.astype(float)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :depth]
    differing = float((rows != expected).mean())
    return compared(scores, np.take_along_axis(exact, expected, 1), 1e-5) | {"rows that differ": differing}


def _mining(task: Task) -> dict[str, object]:
    from rankscale.search import vector_shards
    from rankscale.search.miner import Miner, MiningData
    from rankscale.search.options import MineOptions

    documents, queries, kept = _units(5000 if not task.tiny else 400, 64, 2), _units(100, 64, 3), 50
    positives = [np.array([row]) for row in np.random.default_rng(4).integers(len(documents), size=len(queries))]
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "documents.parquet"
        with vector_shards.shard_writer(shard, documents.shape[1]) as write:
            write(pa.array([f"d{i}" for i in range(len(documents))]), documents.astype(np.float16))
        data = MiningData(
            pa.array([f"q{i}" for i in range(len(queries))]),
            queries,
            positives,
            [np.empty(0, np.int64)] * len(queries),
            np.unique(np.concatenate(positives)),
            len(documents),
            [shard],
        )
        mined = pa.concat_tables(Miner(data, MineOptions(top_k=kept), task.device.type).tables())
    exact = queries.astype(float) @ documents.T.astype(float)
    for query, own in enumerate(positives):
        exact[query, own] = -np.inf
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :kept]
    scores, rows = np.array(mined["scores"].to_pylist()), np.array(mined["rows"].to_pylist())
    differing = float((rows != expected).mean())
    return compared(scores, np.take_along_axis(exact, expected, 1), 1e-5) | {"rows that differ": differing}


def _small(kind: str) -> "Ranker":
    from rankscale.models.bert import Bert, BertShape
    from rankscale.models.registry import RANKERS

    torch.manual_seed(0)
    # How BERT's tokenizer joins two texts: for those kinds that read a query and a passage as one.
    frame = {"before": [101], "between": [102], "after": [102], "types": ([0], 0, [0], 1, [1])}
    more = {"frame": frame} if kind == "cross_encoder" else {}
    return RANKERS[kind](Bert(BertShape(30_522, 128, 2, 2, 512)), 64, **more)


def _encoding(task: Task, kind: str, precision: str, allowed: float) -> dict[str, object]:
    from rankscale.models import devices

    tokens, model = gpu.passages(64), _small(kind).eval()
    rows = np.arange(64)
    texts = tokens, rows[:16], tokens, rows[16:].reshape(16, 3)  # 16 queries with three passages each
    with torch.inference_mode():
        reference = model(model.reads.pack(*texts)).float().numpy()
        on_device = model.to(task.device)
        with devices.autocast_to(precision, task.device):
            vectors = on_device(model.reads.pack(*texts).to(task.device)).float().cpu().numpy()
    return compared(vectors, reference, allowed)


def _training(task: Task, kind: str) -> dict[str, object]:
    from rankscale.models.packing import Apart
    from rankscale.training.distributed import ProcessGroup
    from rankscale.training.kinds.registry import learner_of
    from rankscale.training.objectives.base import Targets
    from rankscale.training.objectives.contrastive.infonce import InfoNCE

    losses = []
    for device in (torch.device("cpu"), task.device):
        model = _small(kind)
        in_batch = isinstance(model.reads, Apart)  # what reads pairs scores a query's own passages alone
        loss = InfoNCE(in_batch=in_batch)
        learner = learner_of(model)(model, loss, device, ProcessGroup(), "fp32", 0.0, 1.0, 1.0)
        own = Targets(3 * in_batch * torch.arange(4, device=device))  # the columns of the positives
        batches = sizes.batches(2 if task.tiny else 5, device, queries=4, passages_each=3, reads=model.reads)
        losses.append([learner.step(batch._replace(targets=own), 1e-3)[0].item() for batch in batches])
    return compared(np.array(losses[1]), np.array(losses[0]), 1e-3)


def _loss(task: Task, name: str) -> dict[str, object]:
    """A loss and its gradient, of the same random scores."""
    from rankscale.core.errors import StudyError
    from rankscale.training.objectives.base import Targets
    from rankscale.training.objectives.registry import make_objective

    queries, passages = 16, 9
    try:
        objective, columns = make_objective(name, None, False), passages
        positive = torch.zeros(queries, dtype=torch.long)
    except StudyError:  # it takes the passages of the whole batch
        objective, columns = make_objective(name, None, True), queries * passages
        positive = torch.arange(queries) * passages
    random = torch.Generator().manual_seed(0)
    scores, teacher = (torch.randn(queries, columns, generator=random) for _ in range(2))
    draws = objective.draws
    uniform = torch.rand(queries, draws, columns, generator=random).clamp(1e-6, 1 - 1e-6) if draws else None
    grades = torch.zeros(queries, columns).scatter_(1, positive[:, None], 1.0)
    targets = Targets(positive, None, teacher, grades, uniform)
    results = []
    for device in (torch.device("cpu"), task.device):
        given = scores.to(device).requires_grad_()
        moved = Targets(*(None if value is None else value.to(device) for value in targets))
        loss = objective(given, moved)
        loss.sum().backward()
        assert given.grad is not None
        results.append(torch.cat([loss.detach()[:, None], given.grad], 1).cpu().numpy())
    return compared(results[1], results[0], 1e-4)


def training(task: Task) -> Rows:
    """Steps of every size: rate, share of the peak, memory, and a plain implementation on the same card.

    The last row says what the published grid of these sizes takes.
    """
    on_gpu = task.device.type == "cuda"
    shapes = [(1, 16), (1, 32)] if task.tiny else sizes.ON_GPU if on_gpu else sizes.ON_CPU
    steps = 1 if task.tiny else 16 if on_gpu else 3
    shape = {"queries": 2, "passages_each": 3} if task.tiny else {}
    batches = sizes.batches(3 + steps, task.device, **shape)
    peak = sizes.rate(task.device, torch.bfloat16 if on_gpu else torch.float32, 256 if task.tiny else None)
    stated = _stated_peak(task.device)
    grid, seconds, measured = sum(size // sizes.QUERIES for size in sizes.SUBSETS) * sizes.EPOCHS, 0.0, 0
    last = 0.0
    for layers, hidden in shapes:
        if task.over(1.5 * last):
            break
        start = time.monotonic()
        row = attempt(
            f"L{layers}H{hidden}", lambda n=layers, h=hidden: _steps(n, h, batches, task.device, peak, stated)
        )
        last = time.monotonic() - start
        if "seconds a step" in row:
            seconds, measured = seconds + float(str(row["seconds a step"])), measured + 1
        yield row
    hours = {"GPU hours of the published grid": grid * seconds / 3600, "sizes measured": measured}
    yield {"what": f"{grid:,} steps of each size", **hours, "of": len(shapes), "large product TFLOP/s": peak / 1e12}


def _stated_peak(device: torch.device) -> float | None:
    """FLOP/s that the vendor states of the card's 16-bit products; None where it is not in the list."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else ""
    return next((1e12 * rate for part, rate in SPEC_PEAK.items() if all(word in name for word in part.split())), None)


def _steps(
    layers: int, hidden: int, batches: list, device: torch.device, peak: float, stated: float | None
) -> dict[str, object]:
    heads = max(2, hidden // 64)
    measured = sizes.ours(layers, hidden, heads, batches, device)
    seconds, flops = measured["seconds"], measured["flops"]
    row: dict[str, object] = {"steps/s": 1 / seconds, "seconds a step": seconds, "TFLOP/s": flops / seconds / 1e12}
    row |= {"share of a large product": flops / seconds / peak, "GB": measured["memory"]}
    if stated:
        row["share of the stated peak"] = flops / seconds / stated
    plain = attempt("plain", lambda: {"seconds": sizes.plain(layers, hidden, heads, batches, device)})
    if "seconds" in plain:
        return row | {"times plain": float(str(plain["seconds"])) / seconds}
    return row | {"plain peer": plain.get("missing") or plain.get("failed")}


def encoding(task: Task) -> Rows:
    """Passages a second of bge-small's shape and of every size, in 32 and in 16 bits."""
    n = 20 if task.tiny else 50_000 if task.device.type == "cuda" else 500
    tokens, last = gpu.passages(n), 0.0
    for layers, hidden in [(1, 16)] if task.tiny else gpu.SIZES:
        if task.over(1.5 * last):
            return
        start = time.monotonic()
        yield attempt(f"L{layers}H{hidden}", lambda m=layers, h=hidden: gpu.encoding_rate(task.device, tokens, m, h))
        last = time.monotonic() - start


def search(task: Task) -> Rows:
    """Exact search of 10,000 queries in 8.8 million vectors; of fewer where the time does not allow them all."""
    on_gpu = task.device.type == "cuda"
    documents = 2000 if task.tiny else 8_841_823 if on_gpu else 500_000
    yield attempt("search", lambda: gpu.searching(task.device, documents, 20 if task.tiny else gpu.QUERIES, task.over))


PARTS: dict[str, Callable[[Task], Rows]] = {
    "agreement": agreement,
    "training": training,
    "encoding": encoding,
    "search": search,
}
