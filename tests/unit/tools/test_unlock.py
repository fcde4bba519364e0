"""Which processes are stages that a killed Snakemake left, however they were started."""

import dataclasses
import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.paths import WORKFLOW
from rankscale.study import run_owners
from rankscale.study.run_owners import RunOwner
from rankscale.tools import unlock
from rankscale.tools.unlock import is_stage


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "rankscale", "train", "--model", "m"],
        ["/x/bin/python3.11", "/x/bin/rankscale", "fit", "--log", "l"],
        ["/x/bin/python", "/x/bin/torchrun", "--standalone", "--nproc-per-node", "2", "-m", "--", "rankscale", "train"],
    ],
)
def test_stages_are_recognised(words):
    assert is_stage(words)


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "rankscale", "quote"],
        ["python", "-m", "rankscale"],
        ["vim", "rankscale", "notes"],
        ["python", "-m", "rankscaler", "train"],
        ["grep", "train"],
    ],
)
def test_tools_and_strangers_are_not(words):
    assert not is_stage(words)


def test_a_stage_that_really_runs_is_recognised(tmp_path):
    fifo = tmp_path / "table.parquet"
    # The stage waits for what nobody writes.
    subprocess.run(["mkfifo", fifo], check=True)
    command = [sys.executable, "-m", "rankscale", "score", "--observations", fifo, "--output", tmp_path / "out.parquet"]
    process = subprocess.Popen(command, cwd=WORKFLOW, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.2)
        assert is_stage(psutil.Process(process.pid).cmdline())
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder with a lock, and a way to say whose run holds it."""
    lock = tmp_path / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("x\n")
    monkeypatch.chdir(tmp_path)

    def held_by(**other):
        owner = dataclasses.replace(RunOwner.here(), **other)
        run_owners.NOTES.mkdir(exist_ok=True)
        (run_owners.NOTES / "run.json").write_text(json.dumps(dataclasses.asdict(owner)))
        return lock

    return held_by


def go(*arguments):
    unlock.main(unlock.arguments().parse_args(arguments))


@pytest.mark.parametrize(
    ("other", "whose"),
    [
        ({"host": "node7", "boot": "b", "user": "ann"}, "user ann on node7, process"),
        ({"namespace": "pid:[1]"}, "in another container, process"),
        ({"machine": "", "boot": "b"}, "may be that of user"),
    ],
)
def test_a_run_that_cannot_be_seen_from_here_keeps_its_lock_until_it_is_said_to_have_ended(locked, other, whose):
    lock = locked(**other)
    with pytest.raises(StudyError, match=whose) as error:
        go()
    assert lock.exists() and "rankscale unlock --force" in str(error.value)
    go("--force")
    assert not lock.exists() and not list(run_owners.notes())


@pytest.mark.parametrize("other", [{"process": 2**22 + 1}, {"started": 0.0}, {"boot": "b", "machine": "m"}])
def test_a_run_that_has_ended_loses_its_lock(locked, other, monkeypatch):
    where = run_owners._where()
    monkeypatch.setattr(run_owners, "_where", lambda: ("m", *where[1:]))  # not every container has an id
    lock = locked(**other)
    go()
    assert not lock.exists() and not list(run_owners.notes())


def test_a_live_run_is_named_whatever_is_said(locked):
    lock = locked()
    for arguments in ((), ("--force",)):
        with pytest.raises(StudyError, match=f"still working in this folder .user .* process {os.getpid()}, since"):
            go(*arguments)
    assert lock.exists()


def test_the_lock_of_another_user_is_kept(locked, monkeypatch):
    lock = locked(process=2**22 + 1)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StudyError, match="the lock is that of another user"):
        go()
    assert lock.exists()


def test_a_note_lives_as_long_as_its_run(tmp_path):
    code = "from rankscale.study.run_owners import *; leave_note(); print([owner.state() for _, owner in notes()])"
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert done.stdout == b"['alive']\n"
    assert not list((tmp_path / run_owners.NOTES).iterdir())


def test_a_study_that_cannot_be_read_any_more_keeps_no_lock(locked, tmp_path):
    """No Snakefile here, and a config that is none: the lock goes all the same, and Snakemake itself finds none."""
    (tmp_path / "config.yaml").write_text("study: [")
    lock = locked(process=2**22 + 1)
    go()
    assert not lock.exists()
    (tmp_path / "Snakefile").write_text('rule all:\n    output: "x"\n    shell: "touch x"\n')
    subprocess.run([sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"], check=True)
    assert (tmp_path / "x").exists()


def test_a_folder_that_was_removed_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StudyError, match="has been removed"):
        go()
    monkeypatch.chdir(tmp_path)
