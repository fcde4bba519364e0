"""Evaluate one checkpoint: contrastive observations over fixed candidates, and the full-collection run."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.search.exact_search import PairScores, TopK
from rankscale.search.vector_shards import PART
from rankscale.storage import tables
from rankscale.storage.schemas import SCHEMAS


def observe(scores: np.ndarray, inverse_temperature: float = 1.0) -> tuple[np.ndarray, ...]:
    """Loss (float64, nats), how many candidates score above and equal to the positive, and by how much it wins.

    One value per query each; the last, the margin, is float64: the positive's score less the best candidate's.

    `scores` float32 [q, 1 + k], the positive's first. Raises StudyError where one is not finite.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        raise StudyError(f"the score of evaluated query number {int(bad.any(1).argmax())} is not finite")
    above = (scores[:, 1:] > scores[:, :1]).sum(1, dtype=np.int32)
    tied = (scores[:, 1:] == scores[:, :1]).sum(1, dtype=np.int32)
    logits = scores.astype(np.float64) * inverse_temperature
    top = logits.max(1)
    loss = np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[:, 0]
    return loss, above, tied, scores[:, 0].astype(np.float64) - scores[:, 1:].max(1)


class Contrast:
    """One kind of candidates: the scores of each query's positive and candidates, gathered as documents come by."""

    def __init__(self, kind: str, part: pa.Table, place: pa.Array, queries: np.ndarray, documents: int) -> None:
        self.kind, self.part = kind, part
        rows = part["rows"].combine_chunks()
        self.width = _width(rows, part, documents)
        candidates = rows.values.to_numpy().reshape(-1, self.width)
        self.rows = np.column_stack([part["positive"].to_numpy(), candidates])
        twice = (np.diff(np.sort(self.rows, axis=1), axis=1) == 0).any(1)
        if twice.any():
            query = part["query_id"][int(twice.argmax())]
            raise StudyError(
                f"the candidates table has a document twice for query {query}, or its positive among its candidates; "
                "delete it and run again"
            )
        which = np.repeat(place.to_numpy(), 1 + self.width)
        self.pairs = PairScores(queries, which, self.rows.reshape(-1))

    def columns(self, inverse_temperature: float) -> dict[str, object]:
        """The columns of the observations table beside the run's keys."""
        loss, above, tied, margin = observe(self.pairs.scores.reshape(self.rows.shape), inverse_temperature)
        return {
            "split": self.part["split"],
            "query_id": self.part["query_id"],
            "candidates": pa.array([self.kind] * len(loss)),
            "n_candidates": pa.array(np.full(len(loss), self.width, np.int32)),
            "loss": pa.array(loss),
            "above": pa.array(above),
            "tied": pa.array(tied),
            "margin": pa.array(margin),
        }


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


def ranked(best: TopK, candidates: pa.Table, ids: pa.Array, documents: pa.Array) -> dict[str, object]:
    """The columns of the run: each split's queries and their best documents, ties by document order."""
    asked = candidates.group_by(["split", "query_id"], use_threads=False).aggregate([]).combine_chunks()
    scores, rows = best.result()
    k = int((rows[0] >= 0).sum())
    some = pc.index_in(asked["query_id"].combine_chunks(), ids).to_numpy()
    again = pa.array(np.repeat(np.arange(len(some)), k))
    return {
        "split": asked["split"].combine_chunks().dictionary_encode().take(again).cast(pa.string()),
        "query_id": asked["query_id"].combine_chunks().dictionary_encode().take(again).cast(pa.string()),
        "doc_id": documents.take(pa.array(rows[some, :k].reshape(-1))),
        "score": scores[some, :k].reshape(-1),
        "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), len(some)),
    }


def main(args: argparse.Namespace) -> None:
    """Write the observations of one checkpoint and, where asked for, its run."""
    from rankscale.models import checkpoints, devices, encoding
    from rankscale.text.token_store import TokenStore

    device = devices.set_up_device(args.device, args.threads)
    model, facts = checkpoints.load_checkpoint(args.checkpoint)
    keys = {k: facts[k] for k in ("model", "train_queries", "seed", "step")}
    if facts["status"] != "finished":
        log.warning(
            "%s on %s queries, seed %s: %s after step %s, nothing to evaluate; its tables stay empty",
            *(keys["model"], keys["train_queries"], keys["seed"], facts["status"], keys["step"]),
        )
        for name, path in (("observations", args.observations), ("runs", args.run)):
            if path:
                tables.write(name, SCHEMAS[name].empty_table(), path)
        return
    queries = TokenStore.read(args.tokens, "queries", facts["query_length"])
    documents = TokenStore.read(args.tokens, "documents", facts["passage_length"])
    candidates = tables.read("candidates", args.candidates)
    ids = pc.unique(candidates["query_id"])
    some = pc.index_in(ids, queries.ids)
    if some.null_count:
        raise StudyError(f"{args.tokens}: no tokens for query {ids.filter(pc.is_null(some))[0]}")
    model = model.to(device)
    exact = partial(devices.autocast_to, args.precision, device)
    asked = encoding.encode(model, queries, some.to_numpy(), device, "encode queries", exact)
    contrasts = []
    for kind in pc.unique(candidates["candidates"]).to_pylist():
        part = candidates.filter(pc.equal(candidates["candidates"], kind))
        place = pc.index_in(part["query_id"].combine_chunks(), ids)
        contrasts.append(Contrast(kind, part, place, asked, len(documents)))
    needed = np.unique(np.concatenate([contrast.rows.reshape(-1) for contrast in contrasts]))
    searched = None
    if args.run:
        searched = tables.read("pool", args.pool)["row"].to_numpy() if args.pool else np.arange(len(documents))
        needed = np.union1d(needed, searched)
        best = TopK(asked, min(args.top_k, len(searched)), device.type)
    log.info("%s/%s/%s step %s: encoding %d queries and %d passages, each once", *keys.values(), len(ids), len(needed))
    for rows, vectors in encoding.encode_in_chunks(model, documents, needed, device, "encode passages", exact, PART):
        for contrast in contrasts:
            contrast.pairs.add(rows, vectors)
        if searched is not None:
            inside = slice(None) if len(searched) == len(needed) else np.isin(rows, searched)
            best.add(rows[inside], vectors[inside])
    columns = [contrast.columns(facts["inverse_temperature"]) for contrast in contrasts]
    joined = pa.concat_tables([pa.table(made) for made in columns])
    tables.write(
        "observations", {**keys, **dict(zip(joined.column_names, joined.columns, strict=True))}, args.observations
    )
    if args.run:
        tables.write("runs", {**keys, **ranked(best, candidates, ids, documents.ids)}, args.run)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("retrieve", __doc__)
    made.add_argument("--checkpoint", type=Path, required=True)
    made.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    made.add_argument("--candidates", type=Path, required=True)
    made.add_argument("--top-k", type=int, default=1000, help="depth of the run")
    made.add_argument("--pool", type=Path, help="rows that the run searches; without it the whole collection")
    made.add_argument("--device", default="auto")
    made.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the encoder's products")
    made.add_argument("--threads", type=int, default=1, help="of torch; another number gives other rounding")
    made.add_argument("--observations", type=Path, required=True, help="output")
    made.add_argument("--run", type=Path, help="output: the full-collection run")
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
