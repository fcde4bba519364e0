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
from rankscale.evaluation.observations import Contrast, run_columns
from rankscale.search.exact_search import TopK
from rankscale.search.vector_shards import PART
from rankscale.storage import tables
from rankscale.storage.schemas import SCHEMAS


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
        tables.write("runs", {**keys, **run_columns(best, candidates, ids, documents.ids)}, args.run)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("retrieve", __doc__)
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
