"""Read documents, queries and judgments from files, line by line; memory does not grow with the collection.

Every complaint names the file and the line. Byte order marks, CRLF line ends and blank lines are accepted. Where the
first line of a file names its columns, the names count, not the places.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rankscale.collection import archives
from rankscale.core.cli import log
from rankscale.core.errors import StudyError


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# How files name their columns, by what these hold; compared without case and anything but letters and digits. BEIR,
# T2Ranking and TREC's topics write them in these ways; MS MARCO's and TREC's own files have none.
IDS = _names(
    "id qid pid did docid docno queryid queryno passageid passageno documentid corpusid textid topicid topicno topic "
    "questionid articleid number num key"
)
TITLES = _names("title headline heading")
TEXTS = _names("text passage body content contents document doc abstract passagetext documenttext doctext")
QUERIES = _names("query question querytext questiontext utterance")
ASIDE = _names("description narrative url lang language iteration iter unused")
OF_DOCUMENTS = {"id": IDS, "title": TITLES, "text": TEXTS}
OF_QUERIES = {"id": IDS, "title": TITLES, "query": QUERIES, "text": TEXTS}
OF_JUDGMENTS = {
    "query": _names("qid queryid queryno query questionid topicid topicno topic"),
    "document": _names("pid did docid docno documentid corpusid passageid passageno document doc passage"),
    "grade": _names("score grade rel relevance relevancy label rating judgment judgement relevancelabel"),
    "aside": _names("iteration iter 0 q0 unused run"),
}

LARGEST_GRADE = 1000
LONGEST_LINE = 64 << 20  # bytes; what is longer is no line of texts or judgments


class Text(NamedTuple):
    """A document or query: its id, title ("" if none) and text ("" if none), and where it was read."""

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
    """Each line that is not blank, without its end, and where it stands as `file:number`.

    Plain, gzipped, or in an archive: `archive.zip!member`, `archive.tar.gz!member`. Empty lines are passed over, and
    a byte order mark may begin any line: files that have one are put together.
    """
    name = str(path)
    try:
        with archives.opened(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
                where = f"{name}:{number}"
                if len(raw) > LONGEST_LINE:
                    raise StudyError(
                        f"{where}: the line is longer than {LONGEST_LINE >> 20} MB; has the file no line ends?"
                    )
                try:
                    # Files that were put together keep the byte order mark of each.
                    line = raw.decode("utf-8").removeprefix("\ufeff")
                except UnicodeDecodeError as error:
                    raise StudyError(f"{where}: not UTF-8 at byte {error.start} of the line") from None
                if "\0" in line:
                    raise StudyError(f"{where}: has a NUL byte")
                if line.strip():
                    yield line.rstrip("\r\n"), where
    except StudyError:
        raise
    except FileNotFoundError:
        raise StudyError(f"{name}: there is no such file") from None
    except archives.DAMAGED as error:
        raise StudyError(f"{name}: cannot be read to its end ({archives.reason(error)})") from error


def _named(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.casefold())


def is_header(cells: list[str], names: Mapping[str, frozenset[str]]) -> bool:
    """Whether a file's first line names its columns: the first as an id, or each as something that is known."""
    plain = [_named(cell) for cell in cells]
    known = frozenset().union(ASIDE, *names.values())
    return plain[0] in IDS or (len(cells) > 1 and all(name in known for name in plain))


def columns_of(
    cells: list[str], names: Mapping[str, frozenset[str]], positions: Mapping[str, int], where: str
) -> dict[str, int]:
    """Which column holds what, by the header `cells`; what no name tells stands at its place in files without one.

    Raises StudyError where two columns are named alike, or the place is named as something else.
    """
    columns: dict[str, int] = {}
    for i, cell in enumerate(cells):
        kind = next((kind for kind, known in names.items() if _named(cell) in known), None)
        if kind in columns:
            raise StudyError(
                f"{where}: columns {cells[columns[kind]]} and {cell} both look like the {kind}; rename one"
            )
        if kind:
            columns[kind] = i
    for kind, position in positions.items():
        if kind not in columns and position < len(cells):
            if position in columns.values() or _named(cells[position]) in ASIDE:
                raise StudyError(
                    f"{where}: the header names no {kind} (column {position + 1}, where it stands without a header, is "
                    f"named {cells[position]}); name it {kind}"
                )
            columns[kind] = position
            log.warning("%s: is taken for a header, whose %s is called %s", where, kind, cells[position])
    missing = [kind for kind in positions if kind not in columns]
    if missing:
        raise StudyError(f"{where}: the header names no {missing[0]}: {', '.join(cells)}")
    unread = [cell for i, cell in enumerate(cells) if i not in columns.values() and _named(cell) not in ASIDE]
    if unread:
        log.warning("%s: columns that are not read: %s", where, ", ".join(unread))
    return columns


def document_lines(path: Path) -> Iterator[Text]:
    """Lines `id TAB text` or `id TAB title TAB text`; with a header, any columns with these names."""
    yield from _tsv_texts(path, OF_DOCUMENTS, {2: {"id": 0, "text": 1}, 3: {"id": 0, "title": 1, "text": 2}}, "2 or 3")


def query_lines(path: Path) -> Iterator[Text]:
    """Lines `id TAB text`; with a header, any columns of these names: query, else text, else title."""
    yield from _tsv_texts(path, OF_QUERIES, {2: {"id": 0, "text": 1}}, "2")


def _tsv_texts(
    path: Path, names: Mapping[str, frozenset[str]], forms: Mapping[int, Mapping[str, int]], widths: str
) -> Iterator[Text]:
    width, columns = 0, {}
    for line, where in lines(path):
        cells = line.split("\t")
        if not width:
            width = len(cells)
            if width > 1 and is_header(cells, names):
                columns = _text_columns(cells, names, forms.get(width, {}), where)
                continue
            if width not in forms:
                more = "; name the columns in a first line to say which is which" if width > max(forms) else ""
                raise StudyError(f"{where}: has {width} tab-separated columns, expected {widths}{more}")
            columns = dict(forms[width])
            if all(cell.strip().isalpha() for cell in cells):
                log.warning("%s: looks like a header, and is read as a text: %s", where, line)
        if len(cells) != width:
            raise StudyError(f"{where}: has {len(cells)} tab-separated columns, expected {width}")
        title = cells[columns["title"]] if "title" in columns else ""
        yield text(cells[columns["id"]], title, cells[columns["text"]], where)


def _text_columns(
    cells: list[str], names: Mapping[str, frozenset[str]], form: Mapping[str, int], where: str
) -> dict[str, int]:
    """Columns of id, text and perhaps title; a query is its column query, else text, else title."""
    plain = [_named(cell) for cell in cells]
    body = next((kind for kind in ("query", "text", "title") if any(name in names.get(kind, ()) for name in plain)), "")
    if body in ("query", "title") and not (body == "title" and names is OF_DOCUMENTS and len(cells) > 2):
        names = {"id": names["id"], "text": names[body]}
    positions = {"id": 0, "text": form.get("text", len(cells))}
    return columns_of(cells, names, positions, where)


def jsonl_texts(path: Path) -> Iterator[Text]:
    """BEIR's lines: objects with `_id` and `text`, perhaps `title`."""
    for line, where in lines(path):
        try:
            row = json.loads(line, object_pairs_hook=_each_once)
            fields = row["_id"], row.get("title") or "", row["text"]
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{where}: is not JSON ({error})") from None
        except (KeyError, TypeError, AttributeError):
            raise StudyError(f"{where}: lacks _id or text") from None
        if not all(isinstance(value, str) for value in fields):
            raise StudyError(f"{where}: _id, title and text must be strings")
        yield text(*fields, where)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(row := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return row


def text(key: str, title: str, body: str, where: str) -> Text:
    """A text; it may be empty. Raises StudyError, naming `where`, for an empty id or half a character."""
    if not key.strip():
        raise StudyError(f"{where}: the id is empty")
    try:
        f"{key}{title}{body}".encode()
    except UnicodeEncodeError:
        raise StudyError(f"{where}: the text of {key!r} has half a surrogate pair, which is no character") from None
    return Text(key, title, body, where)


def judgments(path: Path) -> Iterator[Judgment]:
    """Judgments in TREC's four columns, BEIR's three or T2Ranking's two (relevant all), with or without a header."""
    width, columns = 0, {}
    for line, where in lines(path):
        cells = [cell.strip() for cell in (line.split("\t") if "\t" in line else line.split())]
        if not width:
            width = len(cells)
            if width not in (2, 3, 4):
                raise StudyError(f"{where}: has {width} columns, expected 2, 3 or 4")
            columns = {"query": 0, "document": 2 if width == 4 else 1, "grade": width - 1}
            if width == 2:
                del columns["grade"]
            if is_header(cells, OF_JUDGMENTS):
                # A bare "id" first is the query's: it is what no other name has.
                named = ["qid", *cells[1:]] if _named(cells[0]) == "id" else cells
                columns = columns_of(named, OF_JUDGMENTS, columns, where)
                continue
        if len(cells) != width:
            raise StudyError(f"{where}: has {len(cells)} columns, expected {width}")
        value = _grade(cells[columns["grade"]], where) if "grade" in columns else 1
        yield Judgment(cells[columns["query"]], cells[columns["document"]], value, where)


def _grade(cell: str, where: str) -> int:
    """A whole number, as 1 or 1.0. Raises StudyError for anything else."""
    try:
        if not (value := float(cell)).is_integer():
            raise ValueError
    except (ValueError, OverflowError):
        raise StudyError(f"{where}: the grade {cell!r} is not a whole number") from None
    if abs(value) > LARGEST_GRADE:
        raise StudyError(f"{where}: the grade {cell} is out of bounds")
    return int(value)
