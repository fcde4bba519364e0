"""Which processes are stages that a killed Snakemake left, however they were started."""

import subprocess
import sys
import time

import psutil
import pytest

from rankscale.core.paths import WORKFLOW
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
