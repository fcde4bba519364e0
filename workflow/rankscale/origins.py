"""Where a collection comes from: each source as texts one by one, judgments by split, and facts for the manifest."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rankscale import docstrings, msmarco, readers
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.download import fetch


class Source(NamedTuple):
    """A collection as it is read: texts one by one, judgments by split, and facts for the manifest."""

    documents: Iterable[readers.Text]
    queries: Iterable[readers.Text]
    judgments: dict[str, Iterable[readers.Judgment]]
    facts: dict[str, object]


def from_docstrings(args: argparse.Namespace) -> Source:
    """The embedded collection, its queries dealt by `seed` into test, dev and train.

    Raises StudyError if there are too few pairs.
    """
    pairs = docstrings.harvest()
    if args.sample and args.sample > len(pairs):
        raise StudyError(f"collection.sample: {args.sample} pairs asked for, docstrings has {len(pairs)}")
    if args.sample:
        kept = generator(args.seed, "sample").permutation(len(pairs))[: args.sample]
        pairs = [pairs[i] for i in sorted(kept)]
    test, dev = args.test_queries, args.dev_queries
    if test + dev >= len(pairs):
        raise StudyError(
            f"collection.test_queries + collection.dev_queries: {test} + {dev} leave no training query of "
            f"{len(pairs)} pairs"
        )
    split = ["train"] * len(pairs)
    for rank, i in enumerate(generator(args.seed, "split").permutation(len(pairs))[: test + dev]):
        split[i] = "test" if rank < test else "dev"
    judged: dict[str, list] = {"train": [], "dev": [], "test": []}
    for pair, of in zip(pairs, split, strict=True):
        judged[of].append(readers.Judgment(f"q:{pair.name}", pair.name, 1, pair.name))
    return Source(
        (readers.Text(p.name, "", p.passage, p.name) for p in pairs),
        (readers.Text(f"q:{p.name}", "", p.query, p.name) for p in pairs),
        judged,
        {"versions": docstrings.versions()},
    )


def from_msmarco(args: argparse.Namespace) -> Source:
    """MS MARCO passage with its train, dev and dev_small judgments, and those of TREC DL 2019 and 2020.

    Raises StudyError if a file cannot be downloaded whole.
    """
    folder = args.output / "downloads"
    for name, (place, checksum) in msmarco.FILES.items():
        fetch(f"{place}/{name}", checksum, folder)
    log.info("the official files are whole; their archives stay in %s", folder)
    return Source(
        readers.tsv_texts(Path(f"{folder}/{msmarco.CORPUS}")),
        (text for name in msmarco.QUERIES for text in readers.tsv_texts(Path(f"{folder}/{name}"))),
        {split: readers.judgments(folder / name) for split, name in msmarco.JUDGMENTS.items()},
        {"checksums": {name: checksum for name, (_, checksum) in msmarco.FILES.items()}},
    )


def from_beir(args: argparse.Namespace) -> Source:
    """A BEIR folder or zip: corpus.jsonl, queries.jsonl, qrels/{split}.tsv. Raises StudyError if one is missing."""
    if not args.path:
        raise StudyError("collection.path: is missing; source beir needs its folder or zip")
    place = Path(args.path)
    if place.suffix == ".zip":
        members = readers.members(place)
        corpus = next((m for m in members if Path(m).name == "corpus.jsonl"), None)
        if corpus is None:
            raise StudyError(f"{place}: has no member corpus.jsonl")
        root = f"{place}!{corpus.removesuffix('corpus.jsonl')}"
        qrels = {Path(m).stem: Path(f"{place}!{m}") for m in members if m.endswith(".tsv") and "qrels/" in m}
    else:
        root = f"{place}/"
        qrels = {p.stem: p for p in sorted((place / "qrels").glob("*.tsv"))}
    if not qrels:
        raise StudyError(f"{place}: has no judgments, qrels/*.tsv")
    return Source(
        readers.jsonl_texts(Path(f"{root}corpus.jsonl")),
        readers.jsonl_texts(Path(f"{root}queries.jsonl")),
        {split: readers.judgments(path) for split, path in sorted(qrels.items())},
        {},
    )


def from_tsv(args: argparse.Namespace) -> Source:
    """Files in the MS MARCO and TREC formats, plain or gzipped: corpus, and queries and judgments by split."""
    try:
        place = dict(json.loads(args.files or "{}"))
    except (ValueError, TypeError) as error:
        raise StudyError(f"--files: is no JSON mapping of corpus, queries and qrels ({error})") from None
    missing = [key for key in ("corpus", "queries", "qrels") if key not in place]
    if missing:
        raise StudyError(f"collection.path.{missing[0]}: is missing; source tsv needs corpus, queries and qrels")
    queries = dict.fromkeys(place["queries"].values())  # a file may serve several splits
    return Source(
        readers.tsv_texts(Path(place["corpus"])),
        (text for path in queries for text in readers.tsv_texts(Path(path))),
        {split: readers.judgments(Path(path)) for split, path in sorted(place["qrels"].items())},
        {},
    )


def from_ir_datasets(args: argparse.Namespace) -> Source:
    """A data set of the ir_datasets library: documents of the id `path`, queries and qrels of `path/{split}`.

    Raises StudyError if the library or the data set is not there.
    """
    try:
        import ir_datasets
    except ImportError:
        raise StudyError(
            "collection.source: ir_datasets is not installed; pip install ir_datasets, in the same environment"
        ) from None

    def load(name: str):  # noqa: ANN202 (the library makes its classes as it goes)
        try:
            return ir_datasets.load(name)
        except KeyError:
            raise StudyError(f"collection.path: ir_datasets knows no {name}") from None

    sets = {split: load(f"{args.path}/{split}") for split in args.splits}
    for split, found in sets.items():
        if not (found.has_queries() and found.has_qrels() and found.has_docs()):
            raise StudyError(f"collection.splits: {args.path}/{split} of ir_datasets lacks documents, queries or qrels")

    def texts(entries: Iterable, kind: str, where: str) -> Iterator[readers.Text]:
        for number, entry in enumerate(entries, 1):
            key, title, text = getattr(entry, f"{kind}_id"), getattr(entry, "title", None), None
            if kind == "doc" and hasattr(entry, "text"):
                text = entry.text
            text = entry.default_text() if text is None else text
            yield readers.text(key, (title or "") if kind == "doc" else "", text, f"{where}, number {number}")

    def judged(split: str) -> Iterator[readers.Judgment]:
        for number, entry in enumerate(sets[split].qrels_iter(), 1):
            where = f"{args.path}/{split}, judgment {number}"
            yield readers.Judgment(entry.query_id, entry.doc_id, int(entry.relevance), where)

    return Source(
        texts(next(iter(sets.values())).docs_iter(), "doc", f"{args.path}, documents"),
        (q for s, found in sets.items() for q in texts(found.queries_iter(), "query", f"{args.path}/{s}, queries")),
        {split: judged(split) for split in sets},
        {"ir_datasets": ir_datasets.__version__},
    )


SOURCES = {
    "docstrings": from_docstrings,
    "msmarco-passage": from_msmarco,
    "beir": from_beir,
    "tsv": from_tsv,
    "ir_datasets": from_ir_datasets,
}
