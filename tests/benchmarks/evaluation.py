"""Evaluating one checkpoint against a plain evaluation that encodes each query's candidates apart.

python -m tests.benchmarks.evaluation

The plain one tokenizes and encodes, for every query, its positive and its candidates with transformers' own BERT,
padded to the longest; it is measured on a sample of the queries, and its time on all of them is extrapolated.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import Clock, compared, in_turn, part, report, table

# What a study's jobs are told by the workflow (rankscale.study.environment).
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
ME, THREADS = "tests.benchmarks.evaluation", 2
PEER, PRECISIONS = "plain, with our memory settings", ("fp32", "bf16")
DOCUMENTS, QUERIES, SAMPLE, TOP, CANDIDATES, LENGTH = 14_000, 1_500, 20, 300, 256, 128


def generate(folder: Path) -> None:
    """A sample of the embedded collection, hard candidates out of each query's top 300, and an untrained L4H256."""
    import torch
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    from rankscale.collection import docstrings
    from rankscale.evaluation import candidates
    from rankscale.models import bi_encoder, checkpoints, factory
    from rankscale.storage import tables
    from rankscale.text.tokenizers import train_wordpiece
    from tests.conftest import stage

    pairs = docstrings.harvest()
    pairs = [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:DOCUMENTS]]
    passages, queries = [p.passage for p in pairs], [p.query for p in pairs[:QUERIES]]
    ids, docs = [f"q{i}" for i in range(QUERIES)], [f"d{i}" for i in range(DOCUMENTS)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": passages}, folder / "documents.parquet")
    tables.write("queries", {"query_id": ids, "text": queries}, folder / "queries.parquet")
    train_wordpiece(passages, 8000, folder / "model")
    stage("tokenize", "--collection", folder, "--tokenizer", folder / "model", "--output", folder / "tokens")
    words = TfidfVectorizer(sublinear_tf=True).fit(passages)
    space = TruncatedSVD(128, random_state=0).fit(words.transform(passages))
    d, q = (normalize(space.transform(words.transform(texts))) for texts in (passages, queries))
    scores = q @ d.T
    scores[np.arange(QUERIES), np.arange(QUERIES)] = -np.inf
    mined = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    rows = [candidates.draw_hard(mined[i], CANDIDATES, ids[i], 7).tolist() for i in range(QUERIES)]
    fixed = {"split": "test", "candidates": "hard", "query_id": ids, "positive": list(range(QUERIES)), "rows": rows}
    tables.write("candidates", fixed, folder / "candidates.parquet")
    torch.manual_seed(0)
    model = bi_encoder.BiEncoder(factory.from_scratch(4, 256, 4, 8000, LENGTH), 1024)
    facts = {"model": "L4H256", "train_queries": 0, "seed": 0, "step": 0, "status": "finished"}
    facts |= {"query_length": 24, "passage_length": LENGTH, "inverse_temperature": 1.0}
    checkpoints.save_checkpoint(model, folder / "c.safetensors", {**facts, "output_dim": 1024, "pooling": "mean"})


def ours(folder: Path, precision: str) -> None:
    """The stage, after its imports and a first use of the kernels."""
    import torch

    from rankscale.models import checkpoints, encoding
    from rankscale.stages import retrieve
    from rankscale.text.token_store import TokenStore

    model, facts = checkpoints.load_checkpoint(folder / "c.safetensors")
    tokens = TokenStore.read(folder / "tokens", "documents", facts["passage_length"])
    encoding.encode(model, tokens, np.arange(100), torch.device("cpu"), "warm up")
    places = ("--checkpoint", folder / "c.safetensors", "--tokens", folder / "tokens")
    more = ("--candidates", folder / "candidates.parquet", "--observations", folder / f"{precision}.parquet")
    how = ("--device", "cpu", "--threads", THREADS, "--precision", precision)
    with Clock() as clock:
        retrieve.main(retrieve.arguments().parse_args(list(map(str, (*places, *more, *how)))))
    report(seconds=clock.seconds, extra=clock.extra)


def plain(folder: Path) -> None:
    """Each query of the sample on its own: texts, their tokens, padded, encoded, scored."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from rankscale.models import checkpoints
    from rankscale.storage import tables

    torch.set_num_threads(THREADS)
    mine, _ = checkpoints.load_checkpoint(folder / "c.safetensors")
    config = BertConfig(**mine.encoder.config._asdict())
    encoder = BertModel(config, add_pooling_layer=False).eval()
    encoder.load_state_dict(mine.encoder.state_dict(), strict=False)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    texts = [tables.read(k, folder / f"{k}.parquet")["text"].to_pylist() for k in ("queries", "documents")]
    fixed = tables.read("candidates", folder / "candidates.parquet").slice(0, SAMPLE + 1).to_pylist()

    def vectors(some: list[str], longest: int) -> torch.Tensor:
        read = tokenizer(some, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        mask = read["attention_mask"][..., None]
        states = encoder(**read).last_hidden_state
        return mine.head((states * mask).sum(1) / mask.sum(1))

    scores, start = [], 0.0
    with torch.no_grad():
        for number, row in enumerate(fixed):
            if number == 1:
                start = time.monotonic()  # the first one warms up
            asked = vectors([texts[0][number]], 24)
            found = vectors([texts[1][i] for i in (row["positive"], *row["rows"])], LENGTH)
            scores.append((asked @ found.T)[0].numpy())
    seconds = (time.monotonic() - start) / SAMPLE
    np.save(folder / "plain.npy", np.stack(scores))
    report(seconds=seconds)


def agreement(folder: Path, precision: str) -> dict[str, object]:
    """How the observations differ from those of the plain evaluation's scores, on the sample."""
    from rankscale.storage import tables

    scores = np.load(folder / "plain.npy").astype(float)
    seen = tables.read("observations", folder / f"{precision}.parquet").to_pandas().iloc[: len(scores)]
    size = np.abs(scores).max(1)
    loss = np.logaddexp.reduce(scores, 1) - scores[:, 0]
    beyond = scores[:, 1:] - scores[:, :1]
    clear = np.abs(beyond) > 1e-5 * size[:, None]
    # Candidates within rounding of the positive may stand on either side of it.
    least, most = ((beyond > 0) & clear).sum(1), ((beyond > 0) | ~clear).sum(1)
    return {
        "ranks that differ": int(((seen.above < least) | (seen.above > most)).sum()),
        "loss difference / score": float((np.abs(seen.loss - loss) / size).max()),
    }


def plainly(folder: Path, env: dict[str, str]) -> dict:
    """The plain evaluation of all queries, from the time of a query."""
    return {"seconds": part(ME, "plain", folder, env=env)["seconds"] * QUERIES}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        generate(folder)
        # The plain one as it comes, and told the memory settings that the workflow gives ours.
        sides: dict[str, Callable[[], dict]] = {
            "plain, as it comes": lambda: plainly(folder, {}),
            PEER: lambda: plainly(folder, MALLOC),
        }
        for precision in PRECISIONS:
            sides[f"rankscale retrieve, {precision}"] = lambda p=precision: part(ME, "ours", folder, p, env=MALLOC)
        rows = compared(in_turn(sides), PEER, "seconds over the second's")
        for row, precision in zip(rows[2:], PRECISIONS, strict=True):
            row.update(agreement(folder, precision))
        title = f"{QUERIES} queries x {CANDIDATES} of the top {TOP} of {DOCUMENTS} passages, L4H256, {THREADS} threads"
        table(title, rows)


if __name__ == "__main__":
    globals()[sys.argv[1]](*[Path(sys.argv[2]), *sys.argv[3:]]) if len(sys.argv) > 2 else main()
