"""Collections in BEIR's form: a folder or archive with corpus.jsonl, queries.jsonl and qrels/{split}.tsv."""

from pathlib import Path, PurePosixPath

from rankscale.collection import archives, readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError

CORPUS = "corpus.jsonl"


def read(options: CollectOptions, folder: Path) -> Source:
    """A BEIR folder or archive. Raises StudyError if corpus.jsonl, queries.jsonl or the judgments are missing."""
    if not options.path:
        raise StudyError("collection.path: is missing; source beir needs its folder or archive")
    root, qrels = located(options.path)
    if not qrels:
        raise StudyError(f"{options.path}: has no judgments, qrels/*.tsv")
    return Source(
        readers.jsonl_texts(Path(f"{root}{CORPUS}")),
        readers.jsonl_texts(Path(f"{root}queries.jsonl")),
        {split: readers.judgments(Path(file)) for split, file in sorted(qrels.items())},
        {},
    )


def located(path: str) -> tuple[str, dict[str, str]]:
    """What stands before the names of a collection's files, and its files of judgments by split.

    `path` is a folder, an archive of one collection, or `archive!folder` for one of several. Raises StudyError where
    it does not name one collection.
    """
    archive, inside = archives.split_member(path)
    if archives.is_archive(archive):
        names, before = archives.members(Path(archive)), f"{archive}!"
    else:
        if not Path(path, CORPUS).exists():
            _refuse_several(path, "/", [f"{file.parent.name}/" for file in sorted(Path(path).glob(f"*/{CORPUS}"))])
        names, before = [CORPUS, *(f"qrels/{file.name}" for file in Path(path).glob("qrels/*"))], f"{path}/"
        inside = ""
    roots = [name.removesuffix(CORPUS) for name in names if PurePosixPath(name).name == CORPUS]
    if inside:
        end = f"{inside.strip('/')}/"
        roots = [root for root in roots if f"/{root}".endswith(f"/{end}") or root == end.removeprefix("./")]
    if not roots:
        raise StudyError(f"{path}: has no member {CORPUS}")
    if len(roots) > 1:
        _refuse_several(archive, "!", roots)
    judged = PurePosixPath(f"{roots[0]}qrels")
    qrels = {
        file.stem: f"{before}{name}"
        for name in names
        for file in [PurePosixPath(name)]
        if file.parent == judged and file.suffix == ".tsv" and not archives.is_hidden(file.name)
    }
    return before + roots[0], qrels


def _refuse_several(path: str, mark: str, roots: list[str]) -> None:
    """Raise StudyError if there are collections below `path`, not at it: the user names one."""
    if roots:
        names = sorted(root.strip("/") or "." for root in roots)
        raise StudyError(f"{path}: holds several collections: {', '.join(names)}; name one, as {path}{mark}{names[0]}")


def splits(path: str) -> set[str] | None:
    """The names of the splits that a BEIR folder or zip judges; of a tar it shows when it is read."""
    if archives.is_tape(archives.split_member(path)[0]):
        return None
    return set(located(path)[1])


def files(path: str) -> list[tuple[str, str]]:
    """The archive, or the files of the folder."""
    if not Path(path).is_dir():
        return [("", path)]
    judged = [str(file) for file in Path(path).glob("qrels/*.tsv") if not archives.is_hidden(file.name)]
    return [("", name) for name in (f"{path}/{CORPUS}", f"{path}/queries.jsonl", *judged)]


BEIR = SourceKind("beir", str, "a folder or archive", read, splits, files)
