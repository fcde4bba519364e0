"""The one error that a user can mend: its text is a single line naming what is wrong, where, and what to do."""

import os
from pathlib import Path


class StudyError(ValueError):
    """Something in the config, the data or the machine that the user can put right.

    What its text quotes may hold anything: line ends and what cannot be printed are written as escapes.
    """

    def __init__(self, message: str) -> None:
        escaped = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in message)
        super().__init__("".join(escaped))


def refuse_unreadable(path: str | Path) -> None:
    """Raise StudyError for a folder, and for a file that may not be read: neither is damaged, nor to be deleted."""
    if Path(path).is_dir():
        raise StudyError(f"{path}: is a folder, where a file is asked for")
    if Path(path).exists() and not os.access(path, os.R_OK):
        raise StudyError(f"{path}: may not be read by this user")
