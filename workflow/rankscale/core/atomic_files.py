"""Files that appear whole or not at all."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from rankscale.core.errors import StudyError


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write beside `path`; renamed over it only when the block ends well, so a kill leaves no half."""
    path = Path(path)
    if path.is_dir():
        raise StudyError(f"{path}: is a folder; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed writer of the same file left.
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        stale.unlink(missing_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        # Some writers make files that only their owner reads.
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)
        os.replace(beside, path)
    except OSError as error:
        if error.filename is not None:
            raise
        raise StudyError(f"{path}: cannot be written ({error}); free some space and run the same again") from error
    finally:
        beside.unlink(missing_ok=True)
