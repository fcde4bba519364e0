"""The comparisons with peers, one after the other, written into docs/benchmarks.md with machine and date.

python -m tests.benchmarks.bench [mining encoding training evaluation scoring]      `make bench` runs all of them

Sides of a comparison take turns, BENCH_ROUNDS times (5); tables give medians, and the least and the greatest.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.measure import ROOT, processor

COMPARISONS = ("mining", "encoding", "training", "evaluation", "scoring")
PAGE = ROOT / "docs/benchmarks.md"
BEGINS, ENDS = "<!-- make bench writes from here -->", "<!-- to here -->"
PACKAGES = ("rankscale", "torch", "faiss-cpu", "sentence-transformers", "transformers", "pytrec-eval-terrier")


def machine() -> str:
    """When, on what, and with which versions it was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"{name} missing")
    system = f"{platform.system()}, CPython {platform.python_version()}"
    return f"Measured on {time.strftime('%Y-%m-%d')}: {processor()}, {memory:.0f} GB, {system}; {', '.join(versions)}."


def between(page: str, text: str) -> str:
    """A page with `text` between its two marks, in the place of what stood there."""
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise SystemExit(f"{PAGE}: lacks the marks {BEGINS} and {ENDS}")
    return f"{before}{BEGINS}\n\n{text.strip()}\n\n{ENDS}{after}"


def measured(name: str) -> str:
    """The tables of one comparison, or that it failed."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "tables.md"
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "BENCH_RESULTS": str(results)}, check=False)
        tables = results.read_text(encoding="utf-8") if results.exists() else ""
    failed = f"`{name}` failed with exit status {done.returncode}.\n\n" if done.returncode else ""
    return f"### {name.capitalize()}\n\n{tables}{failed}"


def main(names: list[str]) -> None:
    """Run the comparisons; the page has what is there after each."""
    sections = [machine()]
    for name in names or COMPARISONS:
        sections.append(measured(name))
        page = between(PAGE.read_text(encoding="utf-8"), "\n\n".join(section.strip() for section in sections))
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
