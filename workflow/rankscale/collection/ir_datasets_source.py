"""Collections that the ir_datasets library knows."""

import argparse
from collections.abc import Iterable, Iterator

from rankscale.collection import readers
from rankscale.collection.base import Source
from rankscale.core.errors import StudyError


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
