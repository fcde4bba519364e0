"""A HOME that cannot be written, as in a container or on a node that lacks it."""

import os
from pathlib import Path

import pytest
import yaml

from rankscale.study import environment
from tests.conftest import ROOT, run

CACHES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "IR_DATASETS_HOME")
NOWHERE = "/dev/null/home"  # nobody can make it, not even root


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A way to set HOME, in a folder and with an environment of its own."""
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.chdir(tmp_path)
    for name in (*CACHES, "XDG_CONFIG_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    return lambda folder: os.environ.update(HOME=str(folder))


def test_caches_move_here_only_where_home_cannot_be_written(home, tmp_path, monkeypatch):
    home(tmp_path)
    environment._keep_caches_here()
    assert not set(CACHES) & set(os.environ)
    home(NOWHERE)
    os.environ["MPLCONFIGDIR"] = "mine"
    environment._keep_caches_here()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / ".cache")
    assert os.environ["IR_DATASETS_HOME"] == str(tmp_path / ".cache/ir_datasets")
    assert os.environ["MPLCONFIGDIR"] == "mine"


def test_a_workflow_runs_without_a_home(home, tmp_path):
    (tmp_path / "c.tsv").write_text("".join(f"d{i}\tpassage {i} of these\n" for i in range(9)))
    for split, rows in (("train", range(6)), ("test", range(6, 9))):
        (tmp_path / f"{split}.q").write_text("".join(f"q{i}\twhich {i}\n" for i in rows))
        (tmp_path / f"{split}.j").write_text("".join(f"q{i}\t0\td{i}\t1\n" for i in rows))
    by_split = {key: {s: f"{s}.{key[0]}" for s in ("train", "test")} for key in ("queries", "judgments")}
    path = {"corpus": "c.tsv", "queries": by_split["queries"], "qrels": by_split["judgments"]}
    study = {
        "study": "homeless",
        "collection": {"name": "own", "source": "tsv", "path": path},
        "models": [{"name": "a", "layers": 1, "hidden": 8, "heads": 2}],
        "training": {"train_queries": [6], "batch_size": 2, "learning_rate": 1e-3},
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    home(NOWHERE)
    run(["snakemake", "collection", "--cores", "1", "-s", ROOT / "Snakefile", "--configfile", "study.yaml"], tmp_path)
    assert (tmp_path / "results/shared/own/documents.parquet").exists()
