"""Scoring at MS MARCO's dev size: decomposing 200 checkpoints, and a run against the bare pytrec_eval call.

python -m tests.benchmarks.scoring
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import Clock, compared, in_turn, part, report, table

ME, CANDIDATES, DEPTH, CHECKPOINTS = "tests.benchmarks.scoring", 256, 1000, 200
QUERIES, ALL = 6980, 55578  # of MS MARCO's dev small and dev
DOCUMENTS = 8_841_823
KEYS = {"model": "m", "train_queries": 1, "seed": 1, "step": 1, "split": "dev"}


def generate(folder: Path, queries: int) -> None:
    """Observations of made-up scores, a run, and MS MARCO's one judgment a query."""
    from rankscale.evaluation.observations import calibration_columns
    from rankscale.storage import tables

    random = np.random.default_rng(0)
    scores = random.normal(size=(queries, 1 + CANDIDATES)).astype(np.float32)
    scores[:, 0] += 2
    ids = [str(1_000_000 + i) for i in range(queries)]
    observations = {
        "n_candidates": CANDIDATES,
        "loss": np.log(np.exp(scores.astype(float)).sum(1)) - scores[:, 0],
        "above": (scores[:, 1:] > scores[:, :1]).sum(1),
        "tied": 0,
        "margin": (scores[:, 0] - scores[:, 1:].max(1)).astype(float),
        **calibration_columns(scores, np.full(queries, "dev"), np.array(ids), "hard"),
    }
    tables.write("observations", {**KEYS, "query_id": ids, "candidates": "hard", **observations}, folder / "o.parquet")
    starts, stride = random.integers(DOCUMENTS, size=queries), 7919
    with tables.writer("runs", folder / "r.parquet", write_batch_size=1 << 16) as append:
        for chunk in np.array_split(np.arange(queries), max(queries // 128, 1)):
            documents = (starts[chunk, None] + stride * np.arange(DEPTH)) % DOCUMENTS
            run = {
                "query_id": np.repeat([ids[i] for i in chunk], DEPTH),
                "doc_id": documents.reshape(-1).astype(str),
                "score": np.tile(np.linspace(9, 1, DEPTH, dtype=np.float32), len(chunk)),
                "rank": np.tile(np.arange(1, DEPTH + 1), len(chunk)),
            }
            append({**KEYS, **run})
    # Half of the positives stand in the run, at any depth.
    relevant = (starts + stride * random.integers(2 * DEPTH, size=queries)) % DOCUMENTS
    judged = {"split": "dev", "query_id": ids, "doc_id": relevant.astype(str), "row": relevant}
    tables.write("qrels", {**judged, "grade": 1, "positive": True}, folder / "q.parquet")


def decomposing(folder: Path) -> None:
    """All that `score` says of observations, for one checkpoint after the other."""
    from rankscale.evaluation import scoring
    from rankscale.storage import tables

    observations = tables.read("observations", folder / "o.parquet")
    scoring.score_observations(observations, "expected", "jackknife")
    with Clock() as clock:
        for _ in range(CHECKPOINTS):
            scoring.score_observations(observations, "expected", "jackknife")
    report(seconds=clock.seconds)


def scoring(folder: Path) -> None:
    """The stage, after its imports."""
    import pytrec_eval  # noqa: F401 (its import is no part of the work)

    from rankscale.stages import score

    inputs = ("--observations", "o", "--run", "r", "--qrels", "q")
    inputs = [str(folder / f"{word}.parquet") if len(word) == 1 else word for word in inputs]
    outputs = ["--output", str(folder / "s.parquet"), "--per-query", str(folder / "p.parquet")]
    with Clock() as clock:
        score.main(score.arguments().parse_args([*inputs, *outputs]))
    report(seconds=clock.seconds, extra=clock.extra)


def bare(folder: Path) -> None:
    """The same measures by pytrec_eval, of dictionaries that lie ready."""
    import pytrec_eval

    from rankscale.storage import tables

    run, qrels = tables.read("runs", folder / "r.parquet"), tables.read("qrels", folder / "q.parquet")
    ranked: dict[str, dict[str, float]] = {}
    for query, document, score in zip(*(run[c].to_pylist() for c in ("query_id", "doc_id", "score")), strict=True):
        ranked.setdefault(query, {})[document] = score
    judged = {q: {d: 1} for q, d in zip(*(qrels[c].to_pylist() for c in ("query_id", "doc_id")), strict=True)}
    del run
    start = time.monotonic()
    measures = {"recip_rank", "ndcg_cut_10", "recall_100,1000", "map"}
    pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(ranked)
    report(seconds=time.monotonic() - start)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        generate(folder, QUERIES)
        seconds = part(ME, "decomposing", folder)["seconds"]
        rows = [{"checkpoints": CHECKPOINTS, "queries": QUERIES, "candidates": CANDIDATES, "seconds": seconds}]
        table("Decomposed, with pseudo-values, intervals and the other measures", rows)
        peer = "pytrec_eval on ready dictionaries"
        sides = {
            peer: lambda: part(ME, "bare", folder),
            "rankscale score, from Parquet to Parquet": lambda: part(ME, "scoring", folder),
        }
        table(f"A run of {QUERIES} queries x {DEPTH} results", compared(in_turn(sides), peer, "times"))
        generate(folder, ALL)
        table(f"A run of {ALL} queries x {DEPTH} results", [part(ME, "scoring", folder)])


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2])) if len(sys.argv) > 2 else main()
