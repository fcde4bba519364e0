"""Formatters and linters have nothing to say, and the environment files agree."""

import re

import pytest

from tests.conftest import ROOT, run


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "mypy", "snakefmt --check Snakefile workflow", "snakemake --lint"],
)
def test_clean(command):
    run(command, ROOT)


def pins(name):
    return dict(re.findall(r"^[\s-]*([\w.-]+)==([\w.+]+)", (ROOT / "envs" / name).read_text(), re.MULTILINE))


def test_every_environment_has_the_lock_s_versions():
    lock = pins("lock.txt")
    assert {"torch", "snakemake", "transformers", "pytrec-eval-terrier", "statsmodels"} <= set(lock)
    assert pins("cpu.yaml") == lock
    assert pins("gpu.yaml") == {"faiss-gpu" if name == "faiss-cpu" else name: v for name, v in lock.items()}
    shared = {name: v for name, v in pins("lock-test.txt").items() if name in lock}
    assert shared == {name: lock[name] for name in shared}


def test_the_lock_has_all_that_is_asked_for():
    requirements = re.findall(r"^([\w-]+)", (ROOT / "envs/requirements.in").read_text(), re.MULTILINE)
    assert set(requirements) <= set(pins("lock.txt"))
