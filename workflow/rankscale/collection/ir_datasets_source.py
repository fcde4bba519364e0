"""Collections that the ir_datasets library knows."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rankscale.collection import readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError


def read(options: CollectOptions, folder: Path) -> Source:
    """A data set of the ir_datasets library: documents of the id `path`, queries and qrels of `path/{split}`.

    Raises StudyError if the library or the data set is not there.
    """
    try:
        import ir_datasets
    except ImportError:
        raise StudyError(
            "collection.source: ir_datasets is not installed; pip install ir_datasets, in the same environment"
        ) from None

    def load(name: str) -> Any:  # the library makes its classes as it goes
        try:
            return ir_datasets.load(name)
        except KeyError:
            raise StudyError(f"collection.path: ir_datasets knows no {name}") from None

    data_sets = {split: load(f"{options.path}/{split}") for split in options.splits}
    for split, data_set in data_sets.items():
        if not (data_set.has_queries() and data_set.has_qrels() and data_set.has_docs()):
            raise StudyError(
                f"collection.splits: {options.path}/{split} of ir_datasets lacks documents, queries or qrels"
            )

    def texts(entries: Iterable, kind: str, where: str) -> Iterator[readers.Text]:
        for number, entry in enumerate(entries, 1):
            position = f"{where}, number {number}"
            title, text = _title_and_text(entry, options.titles, position) if kind == "doc" else ("", None)
            text = entry.default_text() if text is None else text
            yield readers.text(getattr(entry, f"{kind}_id"), title, text, position)

    def judged(split: str) -> Iterator[readers.Judgment]:
        for number, entry in enumerate(data_sets[split].qrels_iter(), 1):
            where = f"{options.path}/{split}, judgment {number}"
            yield readers.Judgment(entry.query_id, entry.doc_id, int(entry.relevance), where)

    first = next(iter(data_sets.values()))
    return Source(
        texts(first.docs_iter(), "doc", f"{options.path}, documents"),
        (
            query
            for split, data_set in data_sets.items()
            for query in texts(data_set.queries_iter(), "query", f"{options.path}/{split}, queries")
        ),
        {split: judged(split) for split in data_sets},
        {"ir_datasets": ir_datasets.__version__},
    )


def _title_and_text(document: Any, titles: str, where: str) -> tuple[str, str]:
    """A document's title ("" if none) and its text without it.

    Classes without a field `text` have a default text, which most begin with the title: it must not stand twice.
    Raises StudyError where titles are to be dropped and the title is somewhere else in it.
    """
    title = getattr(document, "title", None) or ""
    if hasattr(document, "text"):
        return title, document.text
    text = document.default_text()
    if text.lstrip().startswith(title.strip()):
        return title, text.lstrip()[len(title.strip()) :].lstrip()
    if titles == "drop" and title and title in text:
        raise StudyError(
            f"{where}: {type(document).__name__} mixes the title into its text, so it cannot be dropped; set "
            "collection.titles to join"
        )
    return ("", text) if title in text else (title, text)


def splits(path: str) -> None:
    """The library says what it has when it is asked."""


IR_DATASETS = SourceKind(
    "ir_datasets", str, "the id of its documents, such as beir/scifact", read, splits, option_names=("splits",)
)
