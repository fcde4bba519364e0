"""A collection so small that a training on it takes a blink, in this process."""

import json

import numpy as np
import pyarrow as pa

from rankscale.core.options import parsed
from rankscale.search import vector_shards
from rankscale.stages.train import arguments
from rankscale.storage import tables
from rankscale.training.distributed import ProcessGroup
from rankscale.training.options import TrainOptions
from rankscale.training.setup import set_up
from rankscale.training.trainer import Trainer
from tests.conftest import write_copies

N, DOCUMENTS, WIDTH = 32, 80, 12  # queries, documents, length of mined lists


def write_collection(folder, grades=(1,)):
    """Query i is answered by document i, and by 40 + i where that is even; the miner's vectors are random."""
    random = np.random.default_rng(0)
    ids, docs = [f"q{i}" for i in range(N)], [f"d{i}" for i in range(DOCUMENTS)]
    tables.write("documents", {"doc_id": docs, "title": "", "text": ["t"] * DOCUMENTS}, folder / "documents.parquet")
    tables.write("queries", {"query_id": ids, "text": ["q"] * N}, folder / "queries.parquet")
    judged = [(f"q{i}", row) for i in range(N) for row in ([i, 40 + i] if i % 2 == 0 else [i])]
    qrels = {"split": "train", "query_id": [q for q, _ in judged], "doc_id": [f"d{row}" for _, row in judged]}
    grade = [grades[i % len(grades)] for i in range(len(judged))]
    qrels |= {"row": [row for _, row in judged], "grade": grade, "positive": True}
    tables.write("qrels", qrels, folder / "qrels.parquet")
    write_copies(folder)
    for name, keys, most in (("queries", ids, 6), ("documents", docs, 9)):
        texts = [random.integers(5, 30, size=random.integers(2, most)).tolist() for _ in keys]
        tables.write("tokens", {"id": keys, "ids": texts}, folder / f"tokens/{name}.parquet")
    special = {"before": [2], "after": [3], "pad": 0, "vocabulary": 30}
    (folder / "tokens/special.json").write_text(json.dumps(special))
    # Near to its answers, so that the miner finds most of them.
    vectors = random.normal(size=(DOCUMENTS, 8)).astype(np.float16)
    queries = (vectors[:N] + random.normal(size=(N, 8)) * 1.2).astype(np.float16)
    for name, keys, values in (("documents", docs, vectors), ("queries", ids, queries)):
        with vector_shards.shard_writer(folder / f"lsa/{name}.parquet", 8) as write:
            write(pa.array(keys), values.astype(np.float32))
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    for query, row in judged:
        scores[int(query[1:]), row] = -np.inf
    order = np.argsort(-scores, axis=1)[:, :WIDTH]
    lists = {"rows": order.tolist(), "scores": np.take_along_axis(scores, order, 1).tolist()}
    tables.write("negatives", {"query_id": ids, **lists, "mined": [WIDTH] * N}, folder / "lsa/negatives.parquet")
    return folder


def run_arguments(collection, tokens, mined, output, *more):
    """The arguments of a run of model m: what it reads, where it writes below `output`, and `more`."""
    reads = ("--collection", collection, "--tokens", collection / tokens, "--mined", collection / mined)
    folders = ("--scratch", output / "scratch", "--output", output / "run")
    return list(map(str, ("--model", "m", *reads, *folders, *more)))


def command(collection, output, *more):
    """The arguments of a run of eight steps."""
    model = ("--layers", 1, "--hidden", 8, "--heads", 2, "--output-dim", 4, "--device", "cpu")
    sizes = ("--batch-size", 8, "--epochs", 2, "--learning-rate", 1e-2, "--query-length", 8, "--passage-length", 10)
    return run_arguments(collection, "tokens", "lsa/negatives.parquet", output, *model, *sizes, *more)


def trainer(collection, output, *more):
    """The trainer of such a run, in this process."""
    options = parsed(TrainOptions, arguments().parse_args(command(collection, output, *more)))
    return Trainer(set_up(options, ProcessGroup()))


def log_of(output, column="loss"):
    """A column of a run's training table."""
    return np.array(tables.read("training", output / "run/training.parquet")[column].to_pylist())
