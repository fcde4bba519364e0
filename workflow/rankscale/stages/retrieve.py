"""Evaluate one checkpoint: contrastive observations over fixed candidates, and the full-collection run."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from rankscale.collection.copies import own_rows
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.options import add_options, parsed
from rankscale.evaluation.observations import Evaluation, evaluated_queries
from rankscale.evaluation.options import RetrieveOptions
from rankscale.storage import manifests, origins, tables
from rankscale.storage.digests import file_hash
from rankscale.storage.schemas import CHECKPOINT_KEY, SCHEMAS


def main(args: argparse.Namespace) -> None:
    """Write the observations of one checkpoint and, where asked for, its run."""
    from rankscale.models import checkpoints, devices
    from rankscale.search.scorers.base import Texts
    from rankscale.search.scorers.registry import make_scorer, searches
    from rankscale.search.shortlists import read_shortlists
    from rankscale.text import token_store
    from rankscale.text.token_store import TokenStore

    options = parsed(RetrieveOptions, args)
    device = devices.set_up_device(options.device, options.threads)
    model, facts = checkpoints.load_checkpoint(args.checkpoint)
    keys = {"collection": args.collection, **{key: facts[key] for key in CHECKPOINT_KEY}}
    if facts["status"] != "finished":
        write_empty_tables(args, keys, facts["status"])
        return
    queries = TokenStore.read(args.tokens, "queries", facts["query_length"])
    documents = TokenStore.read(args.tokens, "documents", facts["passage_length"])
    token_store.refuse_other_tokenizer(
        args.checkpoint, facts, model.encoder.config.vocab_size, documents.special, args.tokens
    )
    candidates = tables.read("candidates", args.candidates)
    origin = origins.origin_of(candidates.schema)
    origins.refuse_other_texts(args.candidates, origin, args.tokens)
    origin[origins.CANDIDATES] = file_hash(args.candidates)
    ids, rows = evaluated_queries(candidates, queries.ids, args.tokens)
    precision = partial(devices.autocast_to, options.precision, device)
    if args.run and not searches(model.kind) and not args.shortlists:
        raise StudyError(f"--shortlists: a {model.kind} cannot search; give it what to rerank, or leave out --run")
    scorer = make_scorer(Texts(model.to(device), *model.as_read(queries, documents), device, precision), rows)
    searched = searched_rows(args.pool, len(documents), args.tokens) if args.run else None
    if args.run and not scorer.searches:
        origins.refuse_other_texts(args.shortlists, origins.read_origin(args.shortlists), args.tokens)
        scorer.first_stage = read_shortlists(args.shortlists, ids)
        searched = np.unique(scorer.first_stage[scorer.first_stage >= 0])
    own = None
    if args.run:
        own = own_rows(args.own_documents, ids)
        manifests.refuse_other_sources(args.tokens / manifests.MANIFEST, args.own_documents.parent)
    evaluation = Evaluation(candidates, ids, scorer, len(documents), searched, options.top_k, own)
    needed = evaluation.needed
    log.info(
        "%s/%s/%s/%s step %s: reading %d queries and %d passages",
        *(keys[key] for key in CHECKPOINT_KEY),
        *(len(ids), len(needed)),
    )
    evaluation.add(scorer.parts(needed))
    observations = evaluation.observations(facts["inverse_temperature"])
    tables.write("observations", {**keys, **observations}, args.observations, origin=origin)
    if args.run:
        tables.write("runs", {**keys, **evaluation.run(documents.ids)}, args.run, origin=origin)


def searched_rows(pool: Path | None, documents: int, tokens: Path) -> np.ndarray:
    """The rows that the run searches: those of the pool, or all. Raises StudyError for a pool of other texts."""
    if pool is None:
        return np.arange(documents)
    rows = tables.read("pool", pool)
    origins.refuse_other_texts(pool, origins.origin_of(rows.schema), tokens)
    return rows["row"].to_numpy()


def write_empty_tables(args: argparse.Namespace, keys: dict[str, object], status: str) -> None:
    """A run that did not finish has nothing to evaluate, but its tables are there."""
    log.warning(
        "%s on %s queries, seed %s: %s after step %s, nothing to evaluate; its tables stay empty",
        *(keys["model"], keys["train_queries"], keys["seed"], status, keys["step"]),
    )
    for name, path in (("observations", args.observations), ("runs", args.run)):
        if path:
            tables.write(name, SCHEMAS[name].empty_table(), path)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("retrieve", __doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--collection", required=True, help="its name, as tables name it")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token ids")
    parser.add_argument("--candidates", type=Path, required=True)
    parser.add_argument(
        "--own-documents", type=Path, nargs="?", help="with --run: queries that are documents themselves"
    )
    parser.add_argument(
        "--pool", type=Path, nargs="?", help="rows that the run searches; without it the whole collection"
    )
    parser.add_argument(
        "--shortlists", type=Path, nargs="?", help="with --run: what a ranker reranks that cannot search"
    )
    add_options(parser, RetrieveOptions)
    parser.add_argument("--observations", type=Path, required=True, help="output")
    parser.add_argument("--run", type=Path, nargs="?", help="output: the full-collection run; without a value none")
    return parser
