"""Read documents, queries and judgments from files, line by line; memory does not grow with the collection.

Every complaint names the file and the line. Byte order marks and CRLF line ends are accepted.
"""

import contextlib
import gzip
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from rankscale.core.errors import StudyError

# First words of header lines, as BEIR and T2Ranking write them; MS MARCO and TREC files have none.
HEADERS = {"qid", "query-id", "query_id", "pid", "corpus-id", "doc_id", "docid", "docno", "_id", "id"}

LARGEST_GRADE = 1000
# What the standard library raises for files that are damaged, encrypted (RuntimeError), packed by a method that it does
# not know (NotImplementedError), or whose headers name absurd sizes.
DAMAGED = (
    *(OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(RuntimeError, NotImplementedError, ValueError, struct.error, OverflowError, MemoryError),
)
LONGEST_LINE = 64 << 20  # bytes; what is longer is no line of texts or judgments


class Text(NamedTuple):
    """A document or query: its id, title ("" if none) and text, and where it was read."""

    id: str
    title: str
    text: str
    where: str


class Judgment(NamedTuple):
    """How relevant a document is to a query, and where that was read."""

    query_id: str
    doc_id: str
    grade: int
    where: str


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line without its end, and where it stands as `file:number`.

    Plain, gzipped, or in an archive: `archive.zip!member`, `archive.tar.gz!member`. Empty lines are passed over, and
    a byte order mark may begin any line: files that have one are put together.
    """
    name = str(path)
    try:
        with _open(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
                where = f"{name}:{number}"
                if len(raw) > LONGEST_LINE:
                    raise StudyError(
                        f"{where}: the line is longer than {LONGEST_LINE >> 20} MB; has the file no line ends?"
                    )
                try:
                    line = raw.decode("utf-8-sig")
                except UnicodeDecodeError as error:
                    raise StudyError(f"{where}: not UTF-8 at byte {error.start} of the line") from None
                if "\0" in line:
                    raise StudyError(f"{where}: has a NUL byte")
                if line.strip(" \r\n"):
                    yield line.rstrip("\r\n"), where
    except StudyError:
        raise
    except FileNotFoundError:
        raise StudyError(f"{name}: there is no such file") from None
    except DAMAGED as error:
        raise StudyError(f"{name}: cannot be read to its end ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in one line."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next(iter(words.splitlines()), "") or type(error).__name__


def members(archive: Path) -> list[str]:
    """The names in a zip. Raises StudyError if it is none, or a name leads out of it."""
    try:
        names = zipfile.ZipFile(archive).namelist()
    except FileNotFoundError:
        raise StudyError(f"{archive}: there is no such file") from None
    except DAMAGED as error:
        raise StudyError(f"{archive}: is not a whole zip ({reason(error)})") from error
    for name in names:
        _refuse_outside(archive, name)
    return names


def _refuse_outside(archive: Path, member: str) -> None:
    if member.startswith("/") or ".." in Path(member).parts:
        raise StudyError(f"{archive}: member {member} leads out of the archive")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    archive, _, member = str(path).partition("!")
    if member and archive.endswith(".zip"):
        if member not in members(Path(archive)):
            raise StudyError(f"{archive}: has no member {member}")
        with zipfile.ZipFile(archive) as folder, folder.open(member) as file:
            yield file
    elif member:
        # A stream: members are met in their order, and nothing is unpacked to disk.
        with tarfile.open(archive, "r|*") as tape:
            for entry in tape:
                _refuse_outside(Path(archive), entry.name)
                if entry.name.removeprefix("./") == member and entry.isfile():
                    content = tape.extractfile(entry)
                    assert content is not None, "a plain file has content"
                    yield content
                    return
            raise StudyError(f"{archive}: has no member {member}")
    else:
        if path.suffix == ".gz" and path.stat().st_size == 0:
            raise EOFError("it is empty, which no gzip file is")  # Python takes it for one without lines
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            yield cast("IO[bytes]", file)


def tsv_texts(path: Path) -> Iterator[Text]:
    """Lines `id TAB text` or `id TAB title TAB text`, with or without a header; one form per file."""
    width = 0
    for line, where in lines(path):
        cells = line.split("\t")
        if not width and cells[0].strip().lower() in HEADERS:
            continue
        width = width or len(cells)
        if len(cells) != width or width not in (2, 3):
            raise StudyError(
                f"{where}: has {len(cells)} tab-separated columns, expected {width if width in (2, 3) else '2 or 3'}"
            )
        yield text(cells[0], cells[1] if width == 3 else "", cells[-1], where)


def jsonl_texts(path: Path) -> Iterator[Text]:
    """BEIR's lines: objects with `_id` and `text`, perhaps `title`."""
    for line, where in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            fields = row["_id"], row.get("title") or "", row["text"]
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{where}: is not JSON ({error})") from None
        except (KeyError, TypeError, AttributeError):
            raise StudyError(f"{where}: lacks _id or text") from None
        if not all(isinstance(value, str) for value in fields):
            raise StudyError(f"{where}: _id, title and text must be strings")
        yield text(*fields, where)


def text(key: str, title: str, body: str, where: str) -> Text:
    """A text that can be used. Raises StudyError, naming `where`, for an empty id or text, or half a character."""
    if not key.strip():
        raise StudyError(f"{where}: the id is empty")
    if not body.strip() and not title.strip():
        raise StudyError(f"{where}: the text of {key} is empty")
    try:
        f"{key}{title}{body}".encode()
    except UnicodeEncodeError:
        raise StudyError(f"{where}: the text of {key!r} has half a surrogate pair, which is no character") from None
    return Text(key, title, body, where)


def judgments(path: Path) -> Iterator[Judgment]:
    """Judgments in TREC's four columns, BEIR's three (with a header) or T2Ranking's two (relevant all)."""
    width = 0
    for line, where in lines(path):
        cells = line.split("\t") if "\t" in line else line.split()
        if not width and cells and cells[0].strip().lower() in HEADERS:
            continue
        width = width or len(cells)
        if len(cells) != width or width not in (2, 3, 4):
            raise StudyError(
                f"{where}: has {len(cells)} columns, expected {width if width in (2, 3, 4) else '2, 3 or 4'}"
            )
        grade = cells[-1] if width > 2 else "1"
        try:
            value = int(grade)
        except ValueError:
            raise StudyError(f"{where}: the grade {grade!r} is not a whole number") from None
        if abs(value) > LARGEST_GRADE:
            raise StudyError(f"{where}: the grade {value} is out of bounds")
        yield Judgment(cells[0].strip(), cells[2 if width == 4 else 1].strip(), value, where)
