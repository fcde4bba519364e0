"""The benchmark of a first GPU, on a processor with sizes that tell nothing: it runs without what it may not need."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks import gpu_all
from tests.benchmarks.gpu_parts import PARTS
from tests.conftest import ROOT, run

# Not psutil and tabulate, which packages import that transformers finds installed here.
OTHERS = ("snakemake", "matplotlib", "plotly", "statsmodels", "pytest")
BLOCK = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name}}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


@pytest.fixture(scope="module")
def without_others(tmp_path_factory):
    """The environment of a machine on which most of what the project uses is not installed."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(BLOCK.format(names=OTHERS))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "workflow")])}


def called(without_others, monkeypatch, output, *more):
    monkeypatch.setenv("PYTHONPATH", without_others["PYTHONPATH"])
    run([sys.executable, "-m", "tests.benchmarks.gpu_all", "--output", output, *more], ROOT)
    lines = (Path(output) / "rows.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], (Path(output) / "results.md").read_text()


def test_every_part_has_results_and_the_device_agrees(without_others, monkeypatch, tmp_path):
    more = ("--device", "cpu", "--tiny", "--minutes", "20")
    rows, text = called(without_others, monkeypatch, tmp_path / "out", *more)
    assert not [row for row in rows if {"failed", "missing"} & set(row)]
    assert list(dict.fromkeys(row["part"] for row in rows)) == ["machine", *PARTS] == ["machine", *gpu_all.SHARES]
    agreement = [row for row in rows if row["part"] == "agreement" and row["what"] != "time"]
    assert {row["what"].split(":")[0] for row in agreement} == {"retrieve", "mine", "encode", "train", "loss"}
    for row in agreement:
        assert row["agrees"], row
    assert all(row["rows that differ"] == 0 for row in agreement[:2])
    steps = [row for row in rows if row["part"] == "training" and "steps/s" in row]
    assert [row["what"] for row in steps] == ["L1H16", "L1H32"]
    assert all(row["steps/s"] * row["seconds a step"] == pytest.approx(1) for row in steps)
    assert not [row["plain peer"] for row in steps if "plain peer" in row]
    assert all(row["times plain"] > 0 for row in steps)
    (grid,) = [row for row in rows if "GPU hours of the published grid" in row]
    # 66,828 steps of 32 queries are in three passes over the eight subsets.
    hours = 66_828 * sum(row["seconds a step"] for row in steps) / 3600
    assert grid["GPU hours of the published grid"] == pytest.approx(hours)
    (searched,) = [row for row in rows if row["what"] == "search"]
    assert (searched["queries"], searched["documents"]) == (20, 2000)
    assert "## encoding" in text
    assert "| L1H16 |" in text


def test_without_a_gpu_it_says_so(without_others, monkeypatch, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    rows, text = called(without_others, monkeypatch, tmp_path / "out", "--minutes", "1")
    assert [row["missing"] for row in rows] == ["a GPU that torch sees"]
    assert "a GPU that torch sees" in text


def test_a_part_that_goes_on_too_long_is_ended():
    rows = list(gpu_all.part_rows("search", 0.2 - gpu_all.GRACE, "cpu", True))
    assert rows[-1]["failed"].startswith("killed after")
