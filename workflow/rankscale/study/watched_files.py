"""The user's own files as Snakemake takes them: by a name that it can write, and dated no later than now.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from rankscale.core.errors import StudyError

# Snakemake fills in what stands in braces or angle brackets, in any name of a file, and knows no way to write these.
WILDCARD = re.compile(r"\{\s*\w+.*\}|<[a-z][a-z0-9_]*>", re.DOTALL)
SLACK = 5  # seconds that the clock of a file server may be ahead


def inputs(files: Iterable[str]) -> list[str]:
    """The files that can stand among a rule's inputs."""
    return [file for file in files if not WILDCARD.search(file)]


def stamps(files: Iterable[str]) -> list[str]:
    """Of the others name, time and size: a parameter of the rule, so that a change in one makes it anew too."""
    others = [file for file in files if WILDCARD.search(file)]
    return [f"{file} {stat.st_mtime_ns} {stat.st_size}" for file in others for stat in [os.stat(file)]]


def refuse_unusable(files: Iterable[str]) -> None:
    """Raise StudyError for a file that is dated ahead of the clock, or whose name the report cannot show.

    Snakemake would delete what was made of the first, each time anew, as older than its source.
    """
    for file in files:
        if re.search(r"</script|<!--", file, re.IGNORECASE):
            raise StudyError(f"{file}: the name has HTML in it, which would run in the report; rename it")
        path = Path(file)
        ahead = path.stat().st_mtime - time.time() if path.exists() else 0
        if ahead > SLACK:
            raise StudyError(
                f"{file}: is dated {ahead / 60:.0f} minutes ahead of this machine's clock (unpacked from an archive of "
                f"another time zone?), and what is made of it would be deleted as outdated; `touch` it"
            )
