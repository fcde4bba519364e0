"""The environments of pip, conda and containers hold the same versions, and this one is the lock's."""

import importlib.metadata
import re

import pytest
import torch
import yaml
from packaging.requirements import Requirement

from rankscale.core.errors import StudyError
from rankscale.models import devices
from tests.conftest import ROOT

LOCK = [line for line in (ROOT / "envs/lock.txt").read_text().splitlines() if line and not line.startswith("#")]


def conda(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    return pip, [part for part in environment["dependencies"] if isinstance(part, str)]


def test_conda_takes_the_versions_of_the_lock():
    assert conda("cpu")[0] == LOCK
    assert conda("gpu")[0] == [line.replace("faiss-cpu", "faiss-gpu") for line in LOCK]
    assert conda("cpu")[1] == conda("gpu")[1] == ["python=3.11", "pip"]


def test_the_container_installs_the_lock_on_the_same_python():
    recipe = (ROOT / "envs/Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.11-slim$", recipe, re.MULTILINE)
    assert "COPY envs/lock.txt" in recipe
    for line in recipe.splitlines():
        if "pip install" in line:
            assert "--requirement /tmp/lock.txt" in line or "--no-deps" in line


def test_what_is_asked_for_is_locked():
    requirements = [
        line for line in (ROOT / "envs/requirements.in").read_text().splitlines() if line and line[0] != "#"
    ]
    locked = {Requirement(line).name.lower(): Requirement(line) for line in LOCK}
    for line in requirements:
        wanted = Requirement(line)
        version = next(iter(locked[wanted.name.lower()].specifier)).version
        assert wanted.specifier.contains(version), line


def test_this_environment_is_the_lock_s():
    for line in LOCK:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            installed = importlib.metadata.version(wanted.name).partition("+")[0]
            assert wanted.specifier.contains(installed), line


def test_a_gpu_that_torch_does_not_see_is_not_wasted(monkeypatch):
    """A build of torch for CPUs, on a node whose GPU was granted: the job ends at once instead of computing on CPU."""
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    with pytest.raises(StudyError, match="SLURM gave this job a GPU"):
        devices.set_up_device("auto", 1)
    assert devices.set_up_device("cpu", 1).type == "cpu"
