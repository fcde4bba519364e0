"""Collections in BEIR's form: a folder or zip with corpus.jsonl, queries.jsonl and qrels/{split}.tsv."""

from pathlib import Path

from rankscale.collection import readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError


def read(options: CollectOptions, folder: Path) -> Source:
    """A BEIR folder or zip: corpus.jsonl, queries.jsonl, qrels/{split}.tsv. Raises StudyError if one is missing."""
    if not options.path:
        raise StudyError("collection.path: is missing; source beir needs its folder or zip")
    path = Path(options.path)
    if path.suffix == ".zip":
        members = readers.members(path)
        corpus = next((m for m in members if Path(m).name == "corpus.jsonl"), None)
        if corpus is None:
            raise StudyError(f"{path}: has no member corpus.jsonl")
        root = f"{path}!{corpus.removesuffix('corpus.jsonl')}"
        qrels = {Path(m).stem: Path(f"{path}!{m}") for m in members if m.endswith(".tsv") and "qrels/" in m}
    else:
        root = f"{path}/"
        qrels = {file.stem: file for file in sorted((path / "qrels").glob("*.tsv"))}
    if not qrels:
        raise StudyError(f"{path}: has no judgments, qrels/*.tsv")
    return Source(
        readers.jsonl_texts(Path(f"{root}corpus.jsonl")),
        readers.jsonl_texts(Path(f"{root}queries.jsonl")),
        {split: readers.judgments(file) for split, file in sorted(qrels.items())},
        {},
    )


def splits(path: str) -> set[str]:
    """The names of the splits that a BEIR folder or zip judges."""
    if path.endswith(".zip"):
        names = readers.members(Path(path))
    else:
        names = [f"qrels/{file.name}" for file in Path(path).glob("qrels/*.tsv")]
    return {Path(name).stem for name in names if name.endswith(".tsv") and "qrels/" in name}


def files(path: str) -> list[tuple[str, str]]:
    """The zip, or the files of the folder."""
    if not Path(path).is_dir():
        return [("", path)]
    names = [f"{path}/corpus.jsonl", f"{path}/queries.jsonl", *map(str, Path(path).glob("qrels/*.tsv"))]
    return [("", name) for name in names]


BEIR = SourceKind("beir", str, "a folder or zip", read, splits, files)
