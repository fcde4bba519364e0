"""What a GPU does: passages/s and TFLOP/s of bge-small's shape and the BERT sizes, and exact search; random weights.

python -m tests.benchmarks.gpu [cuda|cpu] [passages] [documents]
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import torch

from rankscale.models import bi_encoder, encoding
from rankscale.models.bert import Bert, BertShape
from rankscale.models.devices import autocast_to
from rankscale.search import exact_search
from rankscale.text.token_store import SpecialTokens, TokenStore
from tests.benchmarks.measure import table

SIZES = [(12, 384)] + [(n, h) for n in (2, 4, 6, 8, 10, 12) for h in (128, 256, 512, 768)] + [(24, 1024)]
QUERIES, TOP, DIMENSION = 10_000, 1000, 384


def passages(n: int) -> TokenStore:
    """Random texts as long as those of MS MARCO: 77 tokens on average."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(4.25, 0.4, n), 8, 126).astype(int)
    flat, offsets = random.integers(1000, 30_000, lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])
    return TokenStore(
        pa.array(map(str, range(n))), flat.astype(np.uint16), offsets, SpecialTokens([101], [102], 0, 30_522), 128
    )


def encoding_rate(device: torch.device, tokens: TokenStore, layers: int, hidden: int) -> dict:
    """Passages and FLOPs a second of one size, in 32 and in 16 bits."""
    n, heads = len(tokens), 12 if (layers, hidden) == (12, 384) else max(2, hidden // 64)
    model = bi_encoder.BiEncoder(Bert(BertShape(30_522, hidden, layers, heads, 4 * hidden)), None, "cls").to(device)
    row = {}
    for precision in ("fp32", "fp16" if device.type == "cuda" else "bf16"):
        with autocast_to(precision, device):
            encoding.encode(model, tokens, np.arange(min(n, 2000)), device, "warm up")
            start = time.monotonic()
            encoding.encode(model, tokens, np.arange(n), device, f"L{layers}H{hidden}")
            seconds = time.monotonic() - start
        flops = 2 * layers * 12 * hidden**2 * tokens.lengths.sum()
        flops += 4 * layers * hidden * (tokens.lengths.astype(float) ** 2).sum()
        row |= {f"{precision} passages/s": n / seconds, f"{precision} TFLOP/s": flops / seconds / 1e12}
    return row


def encoding_rates(device: torch.device, n: int) -> list[dict]:
    tokens = passages(n)
    return [{"model": f"L{m}H{h}", **encoding_rate(device, tokens, m, h)} for m, h in SIZES]


def searching(device: torch.device, documents: int, n: int = QUERIES, over: Callable[[], bool] = lambda: False) -> dict:
    """The search of random unit vectors of 16 bits, in parts as the miner reads them: of all, or until it is over."""
    random = torch.Generator(device).manual_seed(0)

    def units(n: int) -> np.ndarray:
        vectors = torch.randn(n, DIMENSION, generator=random, device=device)
        return torch.nn.functional.normalize(vectors).half().float().cpu().numpy()

    queries, seconds, size, done = units(n), 0.0, 250_000, 0
    best = exact_search.TopK(queries, TOP)
    if device.type == "cuda":
        best.scan = partial(exact_search._scan_gpu, device="cuda")
    for start in range(0, documents, size):
        part = units(min(size, documents - start))
        begun = time.monotonic()
        best.add(np.arange(start, start + len(part)), part)
        seconds, done = seconds + time.monotonic() - begun, start + len(part)
        if over():
            break
    row = {"queries": n, "documents": done, "top": TOP, "seconds": seconds}
    return row if done == documents else row | {"seconds of all, at that rate": seconds * documents / done}


def main(device: str = "cuda", n: int = 50_000, documents: int = 8_841_823) -> None:
    chosen = torch.device(device)
    name = torch.cuda.get_device_name() if device == "cuda" else "processor"
    table(f"Encoding {n} passages of 77 tokens on {name}", encoding_rates(chosen, n))
    table(f"Exact search on {name}", [searching(chosen, documents)])


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
