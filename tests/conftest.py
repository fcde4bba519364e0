"""What the tests share: a copy of the project to break things in, and one small study that really ran."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from rankscale.report.figures import registry
from rankscale.storage import tables

ROOT = Path(__file__).parents[1]
FIGURES = tuple(registry.figures_of({"plan", "plan_grid"}))  # of the study below
SMALL = """
study: demo
collection: {name: docstrings, source: docstrings, sample: 3000, test_queries: 400, dev_queries: 100}
tokenizer: {name: wordpiece, vocabulary: 2000}
miner: {name: lsa, top_k: 50}
models:
  - {name: L1H8, layers: 1, hidden: 8, heads: 2}
  - {name: L1H16, layers: 1, hidden: 16, heads: 2}
  - {name: L1H32, layers: 1, hidden: 32, heads: 2}
training:
  train_queries: [256, 512, 1024]
  negatives: mined+in_batch
  learning_rate: 4.0e-3
  epochs: 2
  query_length: 16
  passage_length: 24
  output_dim: 32
  snapshots: {models: [L1H16], steps: [1, 20]}
evaluation: {candidates: {hard: 16, random: 16}, full_retrieval: {top_k: 200}}
laws: {hold_out: {models: 1, train_queries: 1}, bootstrap: 100, seed: 7}
plan: {budget: 100, prices: {device_hour: 1, judged_query: 0.05}}
"""


def run(command, cwd, check=True, **how):
    """Run a command line with this environment's programs first; its stdout and stderr together."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        shell=isinstance(command, str),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        **how,
    )
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done


def stage(name, *arguments, check=True):
    """Run `python -m rankscale {name}` in a process of its own."""
    return run([sys.executable, "-m", "rankscale", name, *map(str, arguments)], ROOT, check=check)


def write_copies(folder, copies=(), own=()):
    """A hand-made collection's tables of copies, (row, first) each, and of own documents, (query id, row) each."""
    columns = {"row": [row for row, _ in copies], "first": [first for _, first in copies]}
    tables.write("copies", columns, folder / "copies.parquet")
    columns = {"query_id": [query for query, _ in own], "row": [row for _, row in own]}
    tables.write("own_documents", columns, folder / "own_documents.parquet")


def clone(folder, config=SMALL):
    """The project as git would give it, with another config.yaml."""
    listed = run("git ls-files -z --cached --others --exclude-standard", ROOT).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    (folder / "config.yaml").write_text(config)
    # The environment in use serves; its stamp says that it is made.
    environment = folder / ".venv"
    environment.mkdir()
    for part in ("bin", "lib"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    shutil.copy2(Path(sys.prefix) / "pyvenv.cfg", environment)
    for stamp in (".made", ".made-test"):
        (environment / stamp).touch()
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory, worker_id):
    """A clone whose small study was begun by `make demo`, killed half-way, and finished by the same command.

    The first of several test processes makes it, the others wait for it.
    """
    from tests.workflow.killed import demo_killed_and_finished

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "project"
    with FileLock(f"{folder}.lock"):
        if not (folder / "killed.txt").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            demo_killed_and_finished(clone(folder))
    return folder


@pytest.fixture(scope="session")
def study(project):
    """The finished small study's folder."""
    return project / "results" / "demo"


@pytest.fixture(scope="session")
def shared(project):
    """The finished small study's collection."""
    return project / "results" / "shared" / "docstrings"
