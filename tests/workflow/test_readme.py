"""Every command of the README, run as it stands there, in the finished small project."""

import re
import shutil

import pytest

from rankscale.core.commands import STAGES
from tests.conftest import ROOT, SMALL, run

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
# `make demo` is how the fixture makes the project; `make test` would run these tests again.
ELSEWHERE = {"make demo", "make test", "make environment"}


@pytest.fixture(scope="module")
def folder(project, tmp_path_factory):
    parent = tmp_path_factory.mktemp("readme")
    (parent / "cloned").mkdir()
    return shutil.copytree(project, parent / "rankscale", symlinks=True)


def test_the_two_commands_are_there():
    assert set(COMMANDS) >= ELSEWHERE


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ELSEWHERE])
def test_command(command, folder):
    if "mine.yaml" in command and command.startswith("cp"):
        (folder / "config.yaml").write_text(SMALL)
    if command.startswith("git clone"):
        # What is committed, as a user gets it.
        run(command.replace("REPOSITORY", str(ROOT)), folder.parent / "cloned")
        return
    if "profiles/slurm" in command:
        command += " --dry-run"  # this machine need not be a cluster; tests/slurm makes it one
    if command.startswith("source"):
        assert (folder / command.split()[1]).parent.is_dir()
        return
    # The small study has a ladder of its own.
    run(command.replace("L1H16/8000/1", "L1H8/1024/42").replace("L1H160/8000/1", "L1H32/1024/42"), folder)


def test_the_python_example_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "example.py").write_text(code)
    lines = run(f"python {tmp_path / 'example.py'}", ROOT).stdout.splitlines()
    assert re.fullmatch(r"[\d.]+ \([\d.]+, [\d.]+\) [\d.]+", lines[0])
    assert re.fullmatch(r"[\d.]+ [\d.]+ \([\d.]+, [\d.]+\)", lines[1])


def test_the_tree_names_what_is_there():
    tree = re.search(r"## What is where\n\n```\n(.*?)```", README, re.DOTALL)[1]
    above = ""
    for line in tree.splitlines():
        name = line.split()[0]
        if name == "results/":
            continue
        if not line.startswith(" "):
            above = name if name.endswith("/") else ""
        assert (ROOT / (above if line.startswith(" ") else "") / name).exists(), line


def test_every_stage_has_help():
    table = re.search(r"\| stage \| leaves.*?\n\n", README, re.DOTALL)[0]
    stages = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines()[2:] if line))
    assert set(stages) == set(STAGES)
    for stage in stages:
        assert f"usage: rankscale {stage}" in run(f"rankscale {stage} --help", ROOT).stdout
