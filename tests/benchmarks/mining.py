"""Mining against raw FAISS and sentence-transformers, memory over collection size, and Parquet against a memory map.

python -m tests.benchmarks.mining
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from rankscale.search import exact_search, miner, vector_shards
from rankscale.stages import mine
from rankscale.storage import tables
from tests.benchmarks.measure import Clock, compared, in_turn, part, report, table
from tests.conftest import write_copies

DOCUMENTS, QUERIES, DIMENSION, TOP, THREADS = 200_000, 10_000, 384, 1000, 2
ME = "tests.benchmarks.mining"
SIDES = {
    "faiss.IndexFlatIP: add and search, from memory": "faiss_raw",
    "ours: the same from Parquet shards, ties in order": "ours_search",
    "ours: the mine stage, positives removed, written": "ours_stage",
    "sentence_transformers mine_hard_negatives, FAISS": "sentence_transformers",
}
READING = {"from a memory-mapped file": "read_map", "from Parquet": "read_parquet"}


def units(n: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(n, DIMENSION)).astype(np.float32)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def generate(folder: Path, documents: int, queries: int) -> None:
    """A collection of random unit vectors in two shards, each query's positive a document."""
    folder.mkdir(parents=True)
    names = [f"q{i}" for i in range(queries)]
    with tables.writer("documents", folder / "documents.parquet") as write:
        for start in range(0, documents, 100_000):
            ids = [f"d{i}" for i in range(start, min(start + 100_000, documents))]
            write({"doc_id": ids, "title": "", "text": ["text"] * len(ids)})
    tables.write("queries", {"query_id": names, "text": ["query"] * queries}, folder / "queries.parquet")
    rows = np.random.default_rng(0).integers(documents, size=queries)
    judged = {"split": "train", "query_id": names, "doc_id": [f"d{i}" for i in rows], "row": rows}
    tables.write("qrels", {**judged, "grade": 1, "positive": True}, folder / "qrels.parquet")
    write_copies(folder)
    for shard, (a, b) in enumerate(((0, documents // 2), (documents // 2, documents))):
        with vector_shards.shard_writer(folder / f"documents{shard}.parquet", DIMENSION) as write:
            for start in range(a, b, 50_000):
                end = min(start + 50_000, b)
                write(pa.array([f"d{i}" for i in range(start, end)]), units(end - start, start))
    with vector_shards.shard_writer(folder / "queries0.parquet", DIMENSION) as write:
        write(pa.array(names), units(queries, -1 + 2**31))


def loaded(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    shards = [folder / f"documents{i}.parquet" for i in (0, 1)]
    return np.concatenate([vector_shards.read_shard(shard)[1] for shard in shards]), vector_shards.read_shard(
        folder / "queries0.parquet"
    )[1]


def faiss_raw(folder: Path) -> None:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    documents, queries = loaded(folder)
    with Clock() as clock:
        index = faiss.IndexFlatIP(DIMENSION)
        index.add(documents)
        index.search(queries, TOP)
    report(seconds=clock.seconds, extra=clock.extra)


def ours_search(folder: Path) -> None:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    _, queries = vector_shards.read_shard(folder / "queries0.parquet")
    with Clock() as clock:
        best = exact_search.TopK(queries, TOP)
        for rows, documents in vector_shards.vector_chunks(
            [folder / f"documents{i}.parquet" for i in (0, 1)], vector_shards.PART
        ):
            best.add(rows, documents)
        for start in range(0, len(queries), miner.BLOCK):
            best.result(slice(start, start + miner.BLOCK))
    report(seconds=clock.seconds, extra=clock.extra)


def ours_stage(folder: Path) -> None:
    import faiss
    import torch  # noqa: F401 (what both sides have loaded does not count)

    faiss.omp_set_num_threads(THREADS)
    shards = [str(folder / f"documents{i}.parquet") for i in (0, 1)]
    out = ["--output", str(folder / "out.parquet"), "--manifest", str(folder / "out.json")]
    asked = ["--collection", str(folder), "--documents", *shards, "--queries", str(folder / "queries0.parquet")]
    args = mine.arguments().parse_args(
        [*asked, "--top-k", str(TOP), "--threads", str(THREADS), "--device", "cpu", *out]
    )
    args.settings = {}
    with Clock() as clock:
        mine.main(args)
    report(seconds=clock.seconds, extra=clock.extra)


def sentence_transformers(folder: Path) -> None:
    """The peer with a model that hands out the same vectors: what is timed is the mining."""
    import faiss
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    faiss.omp_set_num_threads(THREADS)
    torch.set_num_threads(THREADS)
    documents, queries = loaded(folder)
    positive = tables.read("qrels", folder / "qrels.parquet")["row"].to_pylist()

    class Given(SentenceTransformer):
        def __init__(self):
            super().__init__(modules=[torch.nn.Identity()], device="cpu")

        def encode(self, sentences, **_):
            own = queries if sentences[0].startswith("q") else documents
            return own[[int(text[1:]) for text in sentences]]

        encode_query = encode_document = encode

        def get_embedding_dimension(self):
            return DIMENSION

    pairs = Dataset.from_dict(
        {"anchor": [f"q{i}" for i in range(len(queries))], "positive": [f"d{i}" for i in positive]}
    )
    corpus = [f"d{i}" for i in range(len(documents))]
    with Clock() as clock:
        mine_hard_negatives(
            pairs,
            Given(),
            corpus=corpus,
            range_max=TOP,
            num_negatives=TOP - 1,
            use_faiss=True,
            verbose=False,
            output_format="n-tuple",
            output_scores=False,
        )
    report(seconds=clock.seconds, extra=clock.extra)


def read_parquet(folder: Path) -> None:
    import faiss

    with Clock() as clock:
        index = faiss.IndexFlatIP(DIMENSION)
        for _, some in vector_shards.vector_chunks(
            [folder / f"documents{i}.parquet" for i in (0, 1)], 4 * DIMENSION * vector_shards.ROWS
        ):
            index.add(some)
    report(seconds=clock.seconds, extra=clock.extra)


def read_map(folder: Path) -> None:
    import faiss

    documents, _ = loaded(folder)
    np.save(folder / "map.npy", documents.astype(np.float16))
    del documents
    with Clock() as clock:
        index = faiss.IndexFlatIP(DIMENSION)
        mapped = np.load(folder / "map.npy", mmap_mode="r")
        for start in range(0, len(mapped), vector_shards.ROWS):
            index.add(mapped[start : start + vector_shards.ROWS].astype(np.float32))
    report(seconds=clock.seconds, extra=clock.extra)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "small"
        generate(folder, DOCUMENTS, QUERIES)
        sides = {what: lambda name=name: part(ME, name, folder) for what, name in SIDES.items()}
        rows = compared(in_turn(sides), next(iter(SIDES)), "times raw")
        renamed = [{k.replace("extra", "extra peak MB"): v for k, v in row.items()} for row in rows]
        table(f"{QUERIES} queries over {DOCUMENTS} x {DIMENSION}, top {TOP}, {THREADS} threads", renamed)

        sides = {what: lambda name=name: part(ME, name, folder) for what, name in READING.items()}
        rows = compared(in_turn(sides), next(iter(READING)), "times that")
        table(f"{DOCUMENTS} x {DIMENSION} vectors of 16 bits to FAISS", rows)

        rows = []
        for documents in (200_000, 2_000_000):
            folder = Path(place) / str(documents)
            generate(folder, documents, 1000)
            found = part(ME, "ours_stage", folder)
            rows.append({"documents": documents, "queries": 1000, **found})
        table(f"The mine stage over collection size, top {TOP}", rows)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2])) if len(sys.argv) > 2 else main()
