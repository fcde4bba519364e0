"""Encoding with bge-small's shape against SentenceTransformer.encode: the same random weights, the same texts.

python -m tests.benchmarks.encoding
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from rankscale.collection import docstrings
from rankscale.core.options import parsed
from rankscale.search import encoders, exact_search
from rankscale.search.options import EncodeOptions
from rankscale.stages import encode
from rankscale.text.tokenizers import train_wordpiece
from tests.benchmarks.measure import Clock, compared, in_turn, part, report, table

TEXTS, QUERIES, THREADS, TOP = 1500, 300, 2, 500
SHAPE = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536}
ME = "tests.benchmarks.encoding"


def generate(folder: Path) -> None:
    """The model with its tokenizer, and the texts: docstrings, cut at 256 tokens."""
    import torch
    from transformers import BertConfig, BertModel

    pairs = docstrings.harvest()
    chosen = np.random.default_rng(0).permutation(len(pairs))[:TEXTS]
    texts = [pairs[i].passage for i in chosen]
    np.save(folder / "texts.npy", np.array(texts, dtype=object), allow_pickle=True)
    np.save(
        folder / "queries.npy", np.array([pairs[i].query for i in chosen[:QUERIES]], dtype=object), allow_pickle=True
    )
    train_wordpiece(texts, 8000, folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=8000, **SHAPE)).save_pretrained(folder)


def texts_of(folder: Path, name: str = "texts") -> list[str]:
    return list(np.load(folder / f"{name}.npy", allow_pickle=True))


def ours(folder: Path, precision: str) -> None:
    asked = ["--collection", ".", "--encoder", str(folder), "--pooling", "cls", "--normalize", "--device", "cpu"]
    places = ["--threads", str(THREADS), "--documents", "a", "--queries", "b"]
    args = encode.arguments().parse_args([*asked, "--precision", precision, *places])
    encoder, texts = encoders.Transformer(parsed(EncodeOptions, args)), texts_of(folder)
    encoder("documents", texts[:50])
    with Clock() as clock:
        made = encoder("documents", texts)
    np.save(folder / f"ours_{precision}.npy", made)
    np.save(folder / f"ours_{precision}_queries.npy", encoder("queries", texts_of(folder, "queries")))
    report(seconds=clock.seconds)


def theirs(folder: Path, precision: str) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.set_num_threads(THREADS)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    body = Transformer(str(folder), max_seq_length=256, model_kwargs={"dtype": kind})
    model = SentenceTransformer(modules=[body, Pooling(SHAPE["hidden_size"], pooling_mode="cls")], device="cpu")
    texts = texts_of(folder)
    model.encode(texts[:50])
    with Clock() as clock:
        made = model.encode(texts, normalize_embeddings=True, convert_to_numpy=False, convert_to_tensor=True)
    np.save(folder / f"theirs_{precision}.npy", made.float().numpy())
    report(seconds=clock.seconds)


def top(folder: Path, precision: str) -> np.ndarray:
    best = exact_search.TopK(np.load(folder / f"ours_{precision}_queries.npy"), TOP)
    best.add(np.arange(TEXTS), np.load(folder / f"ours_{precision}.npy"))
    return best.result()[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        generate(folder)
        sides = {
            f"{name}, {precision}": (who, precision)
            for precision in ("fp32", "bf16")
            for who, name in (("theirs", "SentenceTransformer.encode"), ("ours", "rankscale encode"))
        }
        reports = in_turn({what: lambda side=side: part(ME, side[0], folder, side[1]) for what, side in sides.items()})
        rows = compared(reports, next(iter(sides)), "seconds over the peer's in fp32", TEXTS, "documents/s")
        expected = np.load(folder / "theirs_fp32.npy")
        for row, (who, precision) in zip(rows, sides.values(), strict=True):
            made = np.load(folder / f"{who}_{precision}.npy")
            row["largest difference"] = np.abs(made - expected).max()
            row["least cosine"] = (made * expected).sum(1).min()
        table(f"{TEXTS} docstrings by a BERT of 12 layers, 384 wide, {THREADS} threads", rows)
        overlap = [
            len(np.intersect1d(a, b)) / TOP for a, b in zip(top(folder, "fp32"), top(folder, "bf16"), strict=True)
        ]
        print(f"\nOf {QUERIES} queries' top {TOP} by fp32, {np.mean(overlap):.2%} are in the top {TOP} by bf16.")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]) if len(sys.argv) > 2 else main()
