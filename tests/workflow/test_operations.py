"""What an operator does with a study: reports it half-way, keeps less, compares two, runs two at once, goes offline."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from rankscale.storage import tables
from tests.conftest import FIGURES, SMALL, run


@pytest.fixture
def folder(project, tmp_path):
    """A copy of the finished project, timestamps and Snakemake's records included."""
    return shutil.copytree(project, tmp_path / "copy", symlinks=True)


def planned(output):
    """How many jobs of each rule a run of Snakemake had."""
    block = re.search(r"job +count\n[- ]+\n(.*?)\ntotal", output, re.DOTALL)
    return {k: int(v) for k, v in (line.split() for line in block[1].splitlines())}


def test_a_study_is_reported_as_it_stands_and_marked(folder):
    """The largest models are not there yet, one of them half: trained, not yet evaluated."""
    demo = folder / "results/demo"
    shutil.rmtree(demo / "models/base/L1H32/256")
    shutil.rmtree(demo / "scores/docstrings/base/L1H32")
    (demo / "metrics.parquet").unlink()
    before = {path: path.read_bytes() for path in demo.glob("*.parquet")}
    done = run("snakemake --cores 2 --config partial=True", folder)
    last = ("gather", "fit", "plan", "subsample", "plot", "summarize", "page")
    assert planned(done.stdout) == dict.fromkeys(("all", *last), 1)
    partial = demo / "partial"
    text = (partial / "summary.md").read_text()
    assert text.startswith("# Study demo: docstrings, as it stands: 6 of 9 runs")
    assert "L1H32 on 256, seed 42 (not finished yet)" in text
    metrics = tables.read("metrics", partial / "metrics.parquet").to_pandas()
    assert set(metrics.model) == {"L1H8", "L1H16"}
    for name in FIGURES:
        assert "As it stands: 6 of 9 runs" in (partial / f"figures/{name}.svg").read_text(), name
    assert "As it stands: 6 of 9 runs" in run("rankscale headline results/demo/partial", folder).stdout
    # The study's own tables are not touched, and what it still has to do is what it had.
    assert {path: path.read_bytes() for path in demo.glob("*.parquet")} == before
    left = planned(run("snakemake --cores 1 -n", folder).stdout)
    assert (left["train"], left["retrieve"], left["score"]) == (1, 1, 3)


def test_a_study_without_a_finished_run_has_nothing_to_report(folder):
    shutil.rmtree(folder / "results/demo/scores")
    done = run("snakemake --cores 1 --config partial=True", folder, check=False)
    assert done.returncode
    assert "results/demo: none of 9 runs is trained, evaluated and scored yet" in done.stdout
    assert "Traceback" not in done.stdout


def test_snapshots_can_be_deleted_once_they_are_evaluated(folder):
    (folder / "config.yaml").write_text(SMALL.replace("  epochs: 2", "  keep: final\n  epochs: 2"))
    models = folder / "results/demo/models/base/L1H16/1024/42"
    assert (models / "20.safetensors").exists()
    run(
        "snakemake --cores 1 --forcerun retrieve -- results/demo/observations/docstrings/base/L1H16/1024/42/20.parquet",
        folder,
    )
    assert not (models / "20.safetensors").exists()
    assert (models / "final.safetensors").exists()
    # What was evaluated stays, and nothing is trained again for it.
    left = planned(run("snakemake --cores 1 -n", folder).stdout)
    assert "train_with_snapshots" not in left


def test_a_training_keeps_its_state_on_the_node_where_told_to(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    text = SMALL.replace("study: demo", "study: two") + "machine: {scratch: $NODE_DISK/rankscale, save_seconds: 0}\n"
    (folder / "two.yaml").write_text(text)
    run("snakemake --cores 1 results/two/models/base/L1H8/256/42/final.safetensors --configfile two.yaml", folder)
    assert (tmp_path / "node/rankscale/two/base/L1H8/256").is_dir()
    assert not (folder / "results/two/scratch").exists()


def test_two_studies_in_one_folder_run_at_once_and_one_study_twice_does_not(folder):
    for name in ("two", "three"):
        text = SMALL.replace("study: demo", f"study: {name}").replace("epochs: 2", "epochs: 4000")
        (folder / f"{name}.yaml").write_text(text + "machine: {save_seconds: 0}\n")
    target = "results/{}/models/base/L1H8/256/42/final.safetensors --configfile {}.yaml"
    first = subprocess.Popen(
        ["snakemake", "--cores", "1", *target.format("two", "two").split()],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 300
    while not list(folder.glob("results/two/scratch/base/L1H8/256/42/*/0*")):
        assert time.monotonic() < end
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGSTOP)  # at work, for all that the others can tell, but for the processor
    again = run(f"snakemake --cores 1 {target.format('two', 'two')}", folder, check=False)
    assert again.returncode
    assert "LockException" in again.stdout
    (folder / "three.yaml").write_text((folder / "three.yaml").read_text().replace("epochs: 4000", "epochs: 1"))
    run(f"snakemake --cores 1 {target.format('three', 'three')}", folder)
    # A report of what there is needs no lock: it reads only what is finished.
    assert first.poll() is None, "the first training ended too early for this test"
    run("snakemake --cores 1 --nolock --config partial=True -- results/demo/partial/metrics.parquet", folder)
    os.killpg(first.pid, signal.SIGTERM)  # the training too, for which Snakemake waits
    os.killpg(first.pid, signal.SIGCONT)
    first.wait(300)


def test_two_studies_are_compared_in_one_table_and_figure(folder):
    """A study that is the first with all values of one metric doubled: slopes equal, values apart."""
    demo, two = folder / "results/demo", folder / "results/two"
    shutil.copytree(demo, two, ignore=shutil.ignore_patterns("models", "runs", "observations", "figures", "logs"))
    for name in ("metrics", "left_out", "curves", "fits", "forecasts", "verdicts"):
        table = tables.read(name, two / f"{name}.parquet").to_pandas()
        if "study" in table:
            table["study"] = "two"
        if name == "metrics":
            for column in ("rank_entropy", "rank_entropy_low", "rank_entropy_high"):
                table[column] *= 2
        tables.write(name, {k: table[k] for k in table}, two / f"{name}.parquet")
    done = run("rankscale compare results/demo results/two --figure two.svg --table two.csv", folder)
    line = next(line for line in done.stdout.splitlines() if line.startswith("| rank_entropy"))
    first, second = (float(cell) for cell in line.split("|")[2:4])
    assert second == pytest.approx(2 * first, rel=1e-3)
    assert "9 of 9" not in line
    rows = pd.read_csv(folder / "two.csv")
    assert set(rows.axis) == {"model", "data"}
    assert (rows.difference.dropna() == 0).all()
    # The copy has no observations, so nothing is paired by query; a study against itself is worth one.
    assert "What the second's way to train is worth over the first's" in done.stdout
    assert "cannot be told" in done.stdout
    same = run("rankscale compare results/demo results/demo", folder).stdout
    assert re.search(r"\| Rank-Entropy +\| second \(demo\) .*\| compute +\| 1 \[", same)
    svg = (folder / "two.svg").read_text()
    assert "demo: 400 test queries" in svg
    assert "two: 400 test queries" in svg
    # Where one has no run on the largest subset, both are compared on the largest that both have.
    metrics = tables.read("metrics", two / "metrics.parquet").to_pandas()
    metrics = metrics[metrics.train_queries < 1024]
    tables.write("metrics", {k: metrics[k] for k in metrics}, two / "metrics.parquet")
    run("rankscale compare results/demo results/two --table two.csv", folder)
    rows = pd.read_csv(folder / "two.csv").set_index(["axis", "metric"])
    fixed = rows.loc[("model", "rank_entropy"), ["first_fixed", "second_fixed"]]
    assert list(fixed) == ["train_queries=512", "train_queries=512"]
    for one, other in (("results/two", "results/none"), ("results/demo/metrics.parquet", "results/two")):
        wrong = run(f"rankscale compare {one} {other}", folder, check=False)
        assert wrong.returncode == 1
        assert "Traceback" not in wrong.stdout


def test_provenance_sums_the_jobs_own_records(project, study):
    provenance = json.loads((study / "provenance.json").read_text())
    jobs = {stage: row["jobs"] for stage, row in provenance["hours"].items()}
    assert (jobs["train"], jobs["retrieve"], jobs["score"], jobs["collect"], jobs["mine"]) == (9, 11, 11, 1, 1)
    for row in provenance["hours"].values():
        assert 0 < row["processor"] < 4 * row["wall"]
        assert row["gpu"] == 0
    assert provenance["devices"] == ["cpu"]
    assert provenance["hosts"] == [provenance["hardware"]["host"]]
    assert provenance["reused"] == {}
    checksum = run("sha256sum results/shared/docstrings/qrels.parquet", project).stdout.split()[0]
    assert provenance["checksums"]["qrels.parquet"] == checksum
