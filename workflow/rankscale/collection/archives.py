"""Files in archives: which they are, what is in them, and one member after the other, with nothing unpacked to disk."""

import bz2
import contextlib
import gzip
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from rankscale.core.errors import StudyError

ENDS = r"\.(?:zip|tar|tgz|tbz2?|txz|tar\.(?:gz|bz2|xz))"
ARCHIVE = re.compile(f".*{ENDS}", re.IGNORECASE | re.DOTALL)
MEMBER = re.compile(f"(.*?{ENDS})!(.*)", re.IGNORECASE | re.DOTALL)

# How each packed file begins, and what opens it.
PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}
# What the standard library raises for files that are damaged, encrypted (RuntimeError), packed by a method that it does
# not know (NotImplementedError), or whose headers name absurd sizes.
DAMAGED = (
    *(OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(RuntimeError, NotImplementedError, ValueError, struct.error, OverflowError, MemoryError),
)


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in one line."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next(iter(words.splitlines()), "") or type(error).__name__


def split_member(path: str) -> tuple[str, str]:
    """The file on disk and what is named in it: a.zip and b/c for `a.zip!b/c`; of any other path itself and ""."""
    match = MEMBER.fullmatch(path)
    return (match[1], match[2]) if match else (path, "")


def is_archive(path: str) -> bool:
    """Whether a path is that of an archive, by its end in any case, and no folder of such a name."""
    return ARCHIVE.fullmatch(path) is not None and not Path(path).is_dir()


def is_tape(path: str) -> bool:
    """Whether what an archive holds is known only once all of it was read, as of a tar."""
    return is_archive(path) and not path.lower().endswith(".zip")


def is_hidden(name: str) -> bool:
    """Whether a path is of what macOS and other systems put beside the files that people see."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def members(archive: Path) -> list[str]:
    """The names of the files in an archive, hidden ones left out.

    Raises StudyError if it is none, or a name leads out of it.
    """
    try:
        if is_tape(str(archive)):
            with _tape(archive) as tape:
                names = [_plain(entry.name) for entry in tape if entry.isfile()]
        else:
            with zipfile.ZipFile(archive) as folder:
                names = [name for name in folder.namelist() if not name.endswith("/")]
    except FileNotFoundError:
        raise StudyError(f"{archive}: there is no such file") from None
    except DAMAGED as error:
        kind = "tar" if is_tape(str(archive)) else "zip"
        raise StudyError(f"{archive}: is not a whole {kind} ({reason(error)})") from error
    unique: set[str] = set()
    for name in names:
        _refuse_outside(archive, name)
        if name in unique:
            raise _twice(archive, name)
        unique.add(name)
    return [name for name in names if not is_hidden(name)]


@contextlib.contextmanager
def _tape(archive: Path | str) -> Iterator[tarfile.TarFile]:
    """A tar as a stream, its members in order, and what packs it read to its end, where the checksum is.

    tarfile's own streams pass over the checksum of gzip: one bit would change a text without a word.
    """
    with open(archive, "rb") as file:
        start = file.read(6)
    unpack = next((opener for magic, opener in PACKED.items() if start.startswith(magic)), open)
    with unpack(archive, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as tape:
        yield tape
        while packed.read(1 << 20):
            pass


def _plain(member: str) -> str:
    return member.removeprefix("./")


def _refuse_outside(archive: Path, member: str) -> None:
    if member.startswith("/") or ".." in Path(member).parts:
        raise StudyError(f"{archive}: member {member} leads out of the archive")


def _twice(archive: Path | str, member: str) -> StudyError:
    return StudyError(f"{archive}: has two members called {member}; pack it anew with one")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The lines of a file: plain, gzipped, or an archive's member. Raises StudyError if there is no such member."""
    archive, member = split_member(str(path))
    if not member:
        if path.suffix.lower() == ".gz" and path.stat().st_size == 0:
            raise EOFError("it is empty, which no gzip file is")  # Python takes it for one without lines
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            yield cast("IO[bytes]", file)
    elif is_tape(archive):
        with _tape(archive) as tape:
            entries = iter(tape)
            for entry in entries:
                _refuse_outside(Path(archive), entry.name)
                if _plain(entry.name) == _plain(member) and entry.isfile():
                    content = tape.extractfile(entry)
                    assert content is not None, "a plain file has content"
                    yield content
                    break
            else:
                raise StudyError(f"{archive}: has no member {member}")
            if any(_plain(entry.name) == _plain(member) for entry in entries):
                raise _twice(archive, member)
    else:
        with zipfile.ZipFile(archive) as folder:
            for name in folder.namelist():
                _refuse_outside(Path(archive), name)
            if member not in folder.namelist():
                raise StudyError(f"{archive}: has no member {member}")
            if folder.namelist().count(member) > 1:
                raise _twice(archive, member)
            with folder.open(member) as file:
                yield file
