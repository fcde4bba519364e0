"""The stages that did not end well, by their logs: what a run of the workflow says last."""

from collections.abc import Iterator
from pathlib import Path

LINES = 3  # of each log
EMPTY = "(empty: it ended before it could say why; see above, or SLURM's own log)"


def failures(folders: list[Path], since: float) -> Iterator[tuple[Path, list[str]]]:
    """Logs under `folders` written after `since` (seconds since 1970) that do not say done, with their last lines."""
    for folder in folders:
        for log in sorted(folder.rglob("*.log")):
            if log.stat().st_mtime < since:
                continue
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            if not lines or ": done in " not in lines[-1]:
                yield log, lines[-LINES:]


def format_failures(folders: list[Path], since: float) -> str:
    """The same in words."""
    failed = list(failures(folders, since))
    if not failed:
        return ""
    parts = [f"{log}\n" + "".join(f"    {line}\n" for line in lines or [EMPTY]) for log, lines in failed]
    counted = "1 stage" if len(failed) == 1 else f"{len(failed)} stages"
    return f"\n{counted} did not end well (failed, killed or cancelled); logs and last lines:\n" + "".join(parts)
