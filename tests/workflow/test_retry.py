"""A training that is asked to stop is tried again by the workflow, and goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rankscale.storage import tables
from tests.conftest import SMALL, run

RUN = "models/base/L1H16/256/43"


def test_a_preempted_training_is_retried_and_goes_on(project, tmp_path):
    folder = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    longer = SMALL.replace("epochs: 2", "epochs: 40\n  seeds: [43]").replace("study: demo", "study: long")
    (folder / "long.yaml").write_text(longer + "machine: {save_seconds: 0}\n")
    command = f"snakemake results/long/{RUN}/final.safetensors --cores 1 --retries 1 --configfile long.yaml"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / "output.txt", "w") as log:
        first = subprocess.Popen(
            command.split(),
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        until = time.monotonic() + 300
        while not list(folder.glob(f"results/long/scratch/{RUN.removeprefix('models/')}/*/0*.safetensors")):
            assert time.monotonic() < until, (folder / "output.txt").read_text()[-3000:]
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGUSR1)  # as SLURM warns all processes of a job's step
        assert first.wait(timeout=300) == 0, (folder / "output.txt").read_text()[-3000:]
    assert "Trying to restart job" in (folder / "output.txt").read_text()
    assert "going on from the state at step" in (folder / "results/long/logs/train/base/L1H16/256/43.log").read_text()
    # The same run undisturbed, in another study: the same weights.
    (folder / "calm.yaml").write_text(longer.replace("study: long", "study: calm"))
    run(f"snakemake results/calm/{RUN}/final.safetensors --cores 1 --configfile calm.yaml", folder)
    weights = [(folder / f"results/{study}/{RUN}/final.safetensors").read_bytes() for study in ("long", "calm")]
    assert weights[0] == weights[1]


def test_two_processes_by_config_train_one_model(project, tmp_path):
    folder = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    (folder / "two.yaml").write_text(SMALL.replace("study: demo", "study: two") + "machine: {gpus_per_run: 2}\n")
    target = "results/two/models/base/L1H16/256/42/checkpoints.parquet"
    run(f"snakemake {target} --cores 2 --configfile two.yaml", folder)
    log = (folder / "results/two/logs/train/base/L1H16/256/42.log").read_text()
    assert log.count("encoder") == 1  # one of them speaks
    runs = [folder / f"results/{study}/models/base/L1H16/256/42/training.parquet" for study in ("demo", "two")]
    one, two = (tables.read("training", path)["loss"] for path in runs)
    assert np.allclose(one, two, atol=1e-5)


def test_runs_that_share_a_gpu_by_config(project, tmp_path):
    """Each job asks for one of the GPUs granted, and so many jobs count as one GPU."""
    folder = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    shared = SMALL.replace("study: demo", "study: shared_gpu") + "machine: {device: cuda, runs_per_gpu: 3}\n"
    (folder / "gpu.yaml").write_text(shared)
    target = "results/shared_gpu/models/base/L1H16/256/42/final.safetensors"
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: the run would not fail there")
    output = run(f"snakemake {target} --cores 2 --configfile gpu.yaml", folder, check=False).stdout
    assert re.search(r"Provided resources: gpu=\D*3\b", output)  # profiles/default grants one
    assert "torch sees no GPU" in output
