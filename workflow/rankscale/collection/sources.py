"""Where a collection comes from: each source as texts one by one, judgments by split, and facts for the manifest."""

import argparse
from pathlib import Path

from rankscale.collection import docstrings, msmarco, readers
from rankscale.collection.base import Source
from rankscale.collection.beir import from_beir
from rankscale.collection.download import fetch
from rankscale.collection.ir_datasets_source import from_ir_datasets
from rankscale.collection.tsv_files import from_tsv
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator


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


SOURCES = {
    "docstrings": from_docstrings,
    "msmarco-passage": from_msmarco,
    "beir": from_beir,
    "tsv": from_tsv,
    "ir_datasets": from_ir_datasets,
}
