"""Files in archives: which they are, what is in them, and one member after the other, with nothing unpacked to disk."""

import contextlib
import gzip
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from rankscale.core.errors import StudyError

ENDS = r"\.(?:zip|tar|tgz|tbz2?|txz|tar\.(?:gz|bz2|xz))"
ARCHIVE = re.compile(f".*{ENDS}", re.IGNORECASE | re.DOTALL)
MEMBER = re.compile(f"(.*?{ENDS})!(.*)", re.IGNORECASE | re.DOTALL)


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
            with tarfile.open(archive, "r|*") as tape:
                names = [_plain(entry.name) for entry in tape if entry.isfile()]
        else:
            with zipfile.ZipFile(archive) as folder:
                names = [name for name in folder.namelist() if not name.endswith("/")]
    except FileNotFoundError:
        raise StudyError(f"{archive}: there is no such file") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        kind = "tar" if is_tape(str(archive)) else "zip"
        raise StudyError(f"{archive}: is not a whole {kind} ({error})") from error
    for name in names:
        _refuse_outside(archive, name)
    return [name for name in names if not is_hidden(name)]


def _plain(member: str) -> str:
    return member.removeprefix("./")


def _refuse_outside(archive: Path, member: str) -> None:
    if member.startswith("/") or ".." in Path(member).parts:
        raise StudyError(f"{archive}: member {member} leads out of the archive")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file: plain, gzipped, or an archive's member. Raises StudyError if there is no such member."""
    archive, member = split_member(str(path))
    if not member:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            yield file
    elif is_tape(archive):
        # A stream: members are met in their order.
        with tarfile.open(archive, "r|*") as tape:
            for entry in tape:
                _refuse_outside(Path(archive), entry.name)
                if _plain(entry.name) == _plain(member) and entry.isfile():
                    content = tape.extractfile(entry)
                    assert content is not None, "a plain file has content"
                    yield content
                    return
            raise StudyError(f"{archive}: has no member {member}")
    else:
        with zipfile.ZipFile(archive) as folder:
            for name in folder.namelist():
                _refuse_outside(Path(archive), name)
            if member not in folder.namelist():
                raise StudyError(f"{archive}: has no member {member}")
            with folder.open(member) as file:
                yield file
