"""The wheel, installed where nothing else is; and what releases say of themselves."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from rankscale import __version__
from rankscale.core.paths import PACKAGE
from tests.conftest import ROOT, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
USE = """
import sys
import numpy as np
from rankscale import calibrate, decompose
scores = np.random.default_rng(0).normal(size=(200, 9))
loss = np.log(np.exp(scores).sum(1)) - scores[:, 0]
above, tied = ((f(scores[:, 1:], scores[:, :1])).sum(1) for f in (np.greater, np.equal))
print(decompose(loss, above, tied, n_candidates=8).rank_entropy, calibrate(scores).loss.mean())
assert not {"torch", "snakemake", "transformers", "matplotlib"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of programs of an environment with the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files beside the sources
    shutil.copytree(PACKAGE, source / "workflow/rankscale", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source], folder)
    run([sys.executable, "-m", "venv", folder / "empty"], folder)
    programs = folder / "empty/bin"
    run([programs / "python", "-I", "-m", "pip", "install", "-q", next(folder.glob("*.whl"))], folder)
    return programs


def alone(command, folder):
    """Run a command without this environment's programs and modules."""
    path = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(list(map(str, command)), cwd=folder, env=path, capture_output=True, text=True, check=False)


def test_it_brings_nothing_heavy(installed, tmp_path):
    listed = alone([installed / "python", "-m", "pip", "list", "--format", "json"], tmp_path)
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "rankscale" in names
    assert not names & {"torch", "transformers", "snakemake", "matplotlib", "faiss-cpu", "scikit-learn"}


def test_the_metric_and_calibration_work(installed, tmp_path):
    done = alone([installed / "python", "-c", USE], tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[\d.]+ [\d.]+\n", done.stdout)


def test_laws_and_tools_work(installed, tmp_path):
    table = ROOT / "docs/example_runs.csv"
    fit = (
        "fit-table",
        table,
        "--metric",
        "loss",
        "--size",
        "N",
        "--data",
        "D",
        "--law",
        "additive",
        "--bootstrap",
        100,
    )
    done = alone([installed / "rankscale", *fit], tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"alpha +0\.3\d", done.stdout)
    assert alone([installed / "rankscale", "--help"], tmp_path).stdout.count("\n") > 20


def test_what_is_not_installed_is_named_with_its_extra(installed, tmp_path):
    done = alone([installed / "rankscale", "compare", tmp_path, tmp_path], tmp_path)
    assert done.returncode == 1
    assert 'pip install "rankscale[report]"' in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_the_extras_name_what_the_requirements_do():
    asked = re.findall(r"^([\w-]+)", (ROOT / "envs/requirements.in").read_text(), re.MULTILINE)
    extras = PROJECT["optional-dependencies"]
    given = [*PROJECT["dependencies"], *extras["workflow"], *extras["report"]]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in given}
    assert set(asked) - {"setuptools"} <= names


def test_one_version_is_given_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    archived = json.loads((ROOT / ".zenodo.json").read_text())
    assert {PROJECT["version"], citation["version"], archived["version"]} == {__version__}
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert [author["name"] for author in citation["authors"]] == ["rankscale developers"]
    assert [creator["name"] for creator in archived["creators"]] == ["rankscale developers"]
    assert {citation["license"], archived["license"], PROJECT["license"]} == {"Apache-2.0"}
