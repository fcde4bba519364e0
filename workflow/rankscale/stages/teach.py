"""Write a teacher's scores of the training queries: the miner's, a model's of any origin, or those of a file."""

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import PUBLISHED
from rankscale.core.options import add_options, parsed
from rankscale.search.options import TeachOptions
from rankscale.storage import manifests, tables
from rankscale.storage.digests import file_hash

if TYPE_CHECKING:
    import numpy as np

    from rankscale.search.teacher import Pairs


def main(args: argparse.Namespace) -> None:
    """Score each training query with its positives and mined negatives, or read what a file has of them."""
    from rankscale.search import teacher, vector_shards

    options = parsed(TeachOptions, args)
    flops, who = 0.0, {}
    if options.teacher == "file":
        pairs = teacher.from_file(_only(args.scores, "--scores"), args.collection, options.split)
        scores = pairs.scores
    else:
        part = options.top_k, options.shard, options.shards
        pairs = teacher.pairs_to_score(args.collection, options.split, args.mined, *part)
        log.info("scoring %d pairs of %d training queries by the %s", len(pairs.rows), len(pairs.ids), options.teacher)
        if options.teacher == "miner":
            vector_shards.refuse_unlike([*args.documents, *args.queries], args.collection)
            scores = teacher.by_miner(pairs, args.documents, args.queries)
        elif options.teacher == "checkpoint":
            scores, flops = _by_checkpoint(args, options, pairs)
            who = _checkpoint_facts(_only(args.scores, "--scores"))
        else:
            from rankscale.search import teacher_models

            scores, flops = teacher_models.SCORERS[options.teacher](pairs, options, args.collection)
            who = _model_facts(options.encoder)
    tables.write("teacher", teacher.as_table(pairs, scores), args.output)
    digest = hashlib.sha256(pairs.rows.tobytes() + scores.tobytes()).hexdigest()
    facts = {"queries": len(pairs.ids), "pairs": len(pairs.rows), "digest": digest, "flops": flops, **who}
    sums = {
        "files": manifests.checksums([args.output]),
        "sources": manifests.sources(args.collection, *manifests.COLLECTED),
    }
    manifests.write_manifest(args, args.manifest, **sums, **facts)


def _by_checkpoint(args: argparse.Namespace, options: TeachOptions, pairs: "Pairs") -> tuple["np.ndarray", float]:
    from rankscale.models import checkpoints, devices
    from rankscale.search import teacher
    from rankscale.text import token_store
    from rankscale.text.token_store import TokenStore

    path = _only(args.scores, "--scores")
    device = devices.set_up_device(options.device, options.threads)
    model, facts = checkpoints.load_checkpoint(path)
    if facts["status"] != "finished":
        raise StudyError(f"{path}: its run {facts['status']}; it cannot teach")
    queries = TokenStore.read(args.tokens, "queries", facts["query_length"])
    documents = TokenStore.read(args.tokens, "documents", facts["passage_length"])
    token_store.refuse_other_tokenizer(path, facts, model.encoder.config.vocab_size, documents.special, args.tokens)
    return teacher.by_model(pairs, model.to(device), queries, documents, device)


def _checkpoint_facts(path: Path) -> dict[str, object]:
    """Which checkpoint taught, and what its own training took where the run's table still stands beside it."""
    beside = path.with_name(PUBLISHED[-1])
    facts: dict[str, object] = {"teacher_sha256": file_hash(path)}
    if beside.exists():
        rows = tables.read("checkpoints", beside, ["checkpoint", "train_flops"]).to_pylist()
        facts["training_flops"] = sum(row["train_flops"] for row in rows if row["checkpoint"] == path.stem)
    return facts


def _model_facts(model: str) -> dict[str, object]:
    """Which model taught: the checksums of a folder's files, or the hub's revision."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return {"teacher_files": {path.name: file_hash(path) for path in sorted(folder.iterdir()) if path.is_file()}}
    from transformers import AutoConfig

    return {"teacher_revision": getattr(AutoConfig.from_pretrained(model), "_commit_hash", None)}


def _only(paths: list[Path], flag: str) -> Path:
    if len(paths) != 1:
        raise StudyError(f"{flag}: one file is needed, {len(paths)} were given")
    return paths[0]


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("teach", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    parser.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives")
    parser.add_argument(
        "--documents", type=Path, nargs="*", default=[], help="the miner's vectors, all shards in order"
    )
    parser.add_argument("--queries", type=Path, nargs="*", default=[], help="the miner's vectors of queries")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="a checkpoint, or a file of scores")
    parser.add_argument("--tokens", type=Path, nargs="?", help="folder of token ids, for a checkpoint")
    add_options(parser, TeachOptions)
    manifests.add_manifest(parser)
    parser.add_argument("--manifest", type=Path, required=True, help="output: how the scores came about, as JSON")
    parser.add_argument("--output", type=Path, required=True)
    return parser
