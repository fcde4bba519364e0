"""Measure a ranking that nothing is trained for as checkpoints are: BM25, the miner, a run, chance."""

import argparse
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.copies import own_rows
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.options import add_options, parsed
from rankscale.evaluation.references import bm25, measured, rankings
from rankscale.evaluation.references.options import BM25, MINER, RANDOM, RUN, UNTRAINED, ReferOptions
from rankscale.evaluation.references.task import ReferenceTask, Scored
from rankscale.evaluation.trec_format import read_trec
from rankscale.models.options import ModelOptions
from rankscale.search import vector_shards
from rankscale.storage import manifests, origins, schemas, tables
from rankscale.text.text_batches import batches

BATCH = 10_000


def main(args: argparse.Namespace) -> None:
    """Write one row a test set and kind of candidates of one collection."""
    options = parsed(ReferOptions, args)
    manifests.refuse_changed(args.collection / manifests.MANIFEST, *manifests.COLLECTED)
    candidates = tables.read("candidates", args.candidates)
    origins.refuse_other_collection(args.candidates, origins.origin_of(candidates.schema), args.collection)
    qrels = tables.read("qrels", args.collection / "qrels.parquet")
    documents = tables.read("documents", args.collection / "documents.parquet", ["doc_id"])["doc_id"].combine_chunks()
    task = task_of(args, options, candidates, len(documents))
    log.info("%s: %d queries, %d pairs", args.reference, len(task.ids), len(task.pair_row))
    if options.kind == RUN:
        rows, about = measured.without_scores(task), Path(args.run).name
        rows = [row for row in rows if row["split"] == options.split]
        if not rows:
            raise StudyError(f"{args.run}: {options.split} is no test set of this collection")
        parts: Iterable[pa.Table] | None = [measured.external_run(read_trec(args.run, {}), options.split, qrels)]
    else:
        scored, about = SCORERS[options.kind](args, options, task)
        rows = measured.candidate_rows(task, scored.pairs, options.ties, options.correction)
        parts = None if scored.best is None else measured.run_of(task, scored, documents)
    rows = measured.with_retrieval(rows, parts, qrels, options.retrieval)
    key = {"collection": args.collection_name, "reference": args.reference, "about": about}
    table = pa.Table.from_pylist([{**key, **row} for row in rows], schema=schemas.SCHEMAS["references"])
    tables.write("references", table, args.output)


def task_of(args: argparse.Namespace, options: ReferOptions, candidates: pa.Table, documents: int) -> ReferenceTask:
    """What is to be scored and searched: the same documents that checkpoints search."""
    if options.top_k is None or options.kind == RUN:
        return ReferenceTask(candidates)
    searched = np.arange(documents)
    if args.pool:
        pool = tables.read("pool", args.pool)
        origins.refuse_other_collection(args.pool, origins.origin_of(pool.schema), args.collection)
        searched = pool["row"].to_numpy().astype(np.int64)
    own = own_rows(args.collection / "own_documents.parquet", ReferenceTask(candidates).ids)
    return ReferenceTask(candidates, searched, options.top_k, own)


def by_bm25(args: argparse.Namespace, options: ReferOptions, task: ReferenceTask) -> tuple[Scored, str]:
    """BM25 over the texts that models read."""
    documents = [text for _, texts in batches(args.collection, "documents", BATCH) for text in texts]
    by_id = {
        query: text
        for ids, texts in batches(args.collection, "queries", BATCH)
        for query, text in zip(ids.to_pylist(), texts, strict=True)
    }
    queries = [by_id[query] for query in task.ids.to_pylist()]
    return bm25.bm25_scores(documents, queries, task, options), bm25.about(options)


def by_miner(args: argparse.Namespace, options: ReferOptions, task: ReferenceTask) -> tuple[Scored, str]:
    """The frozen miner's vectors."""
    from rankscale.models import devices

    device = devices.set_up_device(options.device, options.threads)
    vector_shards.refuse_unlike([*args.documents, *args.queries], args.collection)
    read = [vector_shards.read_shard(path) for path in args.queries]
    ids = pa.concat_arrays([ids for ids, _ in read])
    vectors = np.concatenate([vectors for _, vectors in read])[index_of(task.ids, ids, args.queries[0])]
    parts = vector_shards.vector_chunks(args.documents, vector_shards.PART)
    return rankings.vector_scores(vectors, parts, task, device.type), "the frozen encoder that mined the negatives"


def by_untrained(args: argparse.Namespace, options: ReferOptions, task: ReferenceTask) -> tuple[Scored, str]:
    """A model of the ladder before its first step."""
    from rankscale.models import devices, encoding, factory
    from rankscale.text.token_store import TokenStore

    built = ModelOptions(**args.model_options)
    device = devices.set_up_device(options.device, options.threads)
    queries = TokenStore.read(args.tokens, "queries", built.query_length)
    documents = TokenStore.read(args.tokens, "documents", built.passage_length)
    manifests.refuse_other_sources(args.tokens / manifests.MANIFEST, args.collection)
    model = factory.build_model(built, documents.special.vocabulary, args.tokens).to(device)
    encode = partial(encoding.encode_in_chunks, device=device, doing="encode", size=vector_shards.PART)
    rows = index_of(task.ids, queries.ids, args.tokens)
    vectors = encoding.encode(model.query_side, queries, rows, device, "encode queries")
    needed = np.unique(task.pair_row)
    needed = needed if task.searched is None else np.union1d(needed, task.searched)
    parts = encode(model.passage_side, documents, needed)
    about = f"{built.model} before its first step, seed {built.seed}"
    return rankings.vector_scores(vectors, parts, task, device.type), about


def by_chance(args: argparse.Namespace, options: ReferOptions, task: ReferenceTask) -> tuple[Scored, str]:
    """Seeded scores that tell nothing."""
    return rankings.random_scores(task, options.seed), f"seeded scores that tell nothing, seed {options.seed}"


SCORERS = {BM25: by_bm25, MINER: by_miner, UNTRAINED: by_untrained, RANDOM: by_chance}


def index_of(ids: pa.Array, among: pa.Array, where: Path) -> np.ndarray:
    """Where each id stands. Raises StudyError, naming it, for one that is not there."""
    index = pc.index_in(ids, among)
    if index.null_count:
        raise StudyError(f"{where}: lacks query {ids.filter(pc.is_null(index))[0]}; remake it")
    return index.to_numpy()


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("refer", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    parser.add_argument("--collection-name", required=True, help="its name, as tables name it")
    parser.add_argument("--reference", required=True, help="its name, as tables name it")
    parser.add_argument("--candidates", type=Path, required=True)
    parser.add_argument("--pool", type=Path, nargs="?", help="rows that the run searches; without it all documents")
    parser.add_argument("--documents", type=Path, nargs="*", default=[], help="of miner: vectors, all shards in order")
    parser.add_argument("--queries", type=Path, nargs="*", default=[], help="of miner: vectors of queries, all shards")
    parser.add_argument("--tokens", type=Path, nargs="?", help="of untrained: folder of token ids")
    parser.add_argument("--model-options", type=json.loads, default="{}", help="of untrained: JSON, as train's")
    parser.add_argument("--run", type=Path, nargs="?", help="of run: a file in TREC's format")
    add_options(parser, ReferOptions)
    parser.add_argument("--output", type=Path, required=True)
    return parser
