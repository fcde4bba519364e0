"""Evaluate one checkpoint: contrastive observations over fixed candidates, and the full-collection run."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale import command, tables
from rankscale.command import log
from rankscale.errors import StudyError
from rankscale.search import scores_of, search

BLOCK = 256


def observe(
    queries: np.ndarray,
    documents: np.ndarray,
    positive: np.ndarray,
    candidates: np.ndarray,
    temperature: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss (float64, nats), and how many candidates score above and equal to the positive, of each query.

    `queries` [q, d] and `documents` [n, d] float32; `positive` [q] and `candidates` [q, k] rows of documents.
    """
    loss = np.empty(len(queries))
    above, tied = np.empty(len(queries), np.int32), np.empty(len(queries), np.int32)
    for start in range(0, len(queries), BLOCK):
        part = slice(start, start + BLOCK)
        rows = np.column_stack([positive[part], candidates[part]])
        scores = scores_of(queries[part], documents, rows)
        bad = ~np.isfinite(scores)
        if bad.any():
            raise StudyError(f"the score of evaluated query number {start + int(bad.any(1).argmax())} is not finite")
        above[part] = (scores[:, 1:] > scores[:, :1]).sum(1)
        tied[part] = (scores[:, 1:] == scores[:, :1]).sum(1)
        logits = scores.astype(np.float64) / temperature
        top = logits.max(1)
        loss[part] = np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[:, 0]
    return loss, above, tied


def contrastive(candidates: pa.Table, place: dict[str, int], vectors: tuple, temperature: float) -> dict[str, list]:
    """The columns of the observations table beside the run's keys."""
    columns: dict[str, list] = {}
    for kind in pc.unique(candidates["candidates"]).to_pylist():
        part = candidates.filter(pc.equal(candidates["candidates"], kind))
        ids = part["query_id"].to_pylist()
        rows = part["rows"].combine_chunks()
        n = _width(rows, part, len(vectors[1]))
        some = np.array([place[i] for i in ids])
        loss, above, tied = observe(
            vectors[0][some],
            vectors[1],
            part["positive"].to_numpy(),
            rows.values.to_numpy().reshape(-1, n),
            temperature,
        )
        new = {
            "split": part["split"].to_pylist(),
            "query_id": ids,
            "candidates": [kind] * len(ids),
            "n_candidates": [n] * len(ids),
            "loss": loss,
            "above": above,
            "tied": tied,
        }
        for name, values in new.items():
            columns.setdefault(name, []).extend(values)
    return columns


def _width(rows: pa.ListArray, part: pa.Table, documents: int) -> int:
    """How many candidates each query has. Raises StudyError where they differ or name no document."""
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0] or rows.values.null_count:
        raise StudyError(f"the candidates table has lists of {widths} candidates; delete it and run again")
    for values in (rows.values, part["positive"]):
        ends = pc.min_max(values).as_py()
        if ends["min"] < 0 or ends["max"] >= documents:
            raise StudyError(f"the candidates table names row {ends} of {documents} documents; delete it and run again")
    return widths[0]


def full(ids: pa.Array, splits: pa.Array, documents: pa.Array, vectors: tuple, top_k: int) -> dict[str, pa.Array]:
    """The run over the whole collection: the best `top_k` documents of each query, ties by document order."""
    scores, rows = search(vectors[1], vectors[0], top_k)
    n, k = rows.shape
    again = pa.array(np.repeat(np.arange(n), k))
    return {
        "split": splits.dictionary_encode().take(again).cast(pa.string()),
        "query_id": ids.dictionary_encode().take(again).cast(pa.string()),
        "doc_id": documents.take(pa.array(rows.reshape(-1))),
        "score": scores.reshape(-1),
        "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), n),
    }


def main(args: argparse.Namespace) -> None:
    """Write the observations of one checkpoint and, where asked for, its run."""
    from rankscale import models
    from rankscale.store import Tokens

    device = models.set_up(args.device, args.threads)
    model, facts = models.load(args.checkpoint)
    keys = {k: facts[k] for k in ("model", "train_queries", "seed", "step")}
    queries = Tokens.read(args.tokens, "queries", facts["query_length"])
    documents = Tokens.read(args.tokens, "documents", facts["passage_length"])
    candidates = tables.read("candidates", args.candidates)
    ids = pc.unique(candidates["query_id"])
    some = pc.index_in(ids, queries.ids)
    if some.null_count:
        raise StudyError(f"{args.tokens}: no tokens for query {ids.filter(pc.is_null(some))[0]}")
    log.info(
        "%s/%s/%s step %s: encoding %d queries and each of %d passages once",
        *keys.values(),
        len(ids),
        len(documents),
    )
    model = model.to(device)
    vectors = (
        models.encode(model, queries, some.to_numpy(), device, "encode queries"),
        models.encode(model, documents, np.arange(len(documents)), device, "encode passages"),
    )
    place = {query: i for i, query in enumerate(ids.to_pylist())}
    observed = contrastive(candidates, place, vectors, facts["temperature"])
    tables.write("observations", {**keys, **observed}, args.observations)
    if args.run:
        import faiss

        faiss.omp_set_num_threads(args.threads)
        first = candidates.group_by("query_id", use_threads=False).aggregate([("split", "first")])
        splits = first["split_first"].combine_chunks()
        run = full(ids, splits, documents.ids, vectors, args.top_k)
        tables.write("runs", {**keys, **run}, args.run)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("retrieve", __doc__)
    made.add_argument("--checkpoint", type=Path, required=True)
    made.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    made.add_argument("--candidates", type=Path, required=True)
    made.add_argument("--top-k", type=int, default=1000, help="depth of the run")
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--observations", type=Path, required=True, help="output")
    made.add_argument("--run", type=Path, help="output: the full-collection run")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
