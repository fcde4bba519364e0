"""What TensorBoard reads back is what a run logged and measured, each number once, and nothing of the study changed."""

import hashlib

import pytest

from rankscale.follow.training_runs import states
from rankscale.storage import schemas, tables
from rankscale.tools.track import mirror
from tests.unit.follow.test_training_runs import BEGUN, RUN, log_of, published, state_of

KEYS = {"variant": "base", "model": "m", "train_queries": 100, "seed": 1}


def trained(study, steps):
    log = {"step": range(1, steps + 1), "epoch": 0.5, "loss": [5 - s / 100 for s in range(1, steps + 1)]}
    log |= {"gradient_norm": None, "learning_rate": 0.001, "inverse_temperature": 1.0, "tokens": 7}
    tables.write("training", {**KEYS, **{k: list(v) if k == "step" else v for k, v in log.items()}},
                 study / f"models/{RUN}/training.parquet")  # fmt: skip
    columns = dict.fromkeys(schemas.SCHEMAS["scores"].names, 0.25)
    columns |= {**KEYS, "collection": "c", "step": steps, "split": "test", "candidates": "hard", "retrieval": "none"}
    columns |= dict.fromkeys(schemas.RETRIEVAL) | {"n_queries": 3, "n_candidates": 4}
    columns |= dict.fromkeys(("calibration_uncertain", "calibration_at_cap", "below_chance", "too_few_queries"), False)
    tables.write("scores", columns, study / f"scores/c/{RUN}/final.parquet")
    published(study, "finished", step=steps)


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_mirrored_while_it_goes_on_and_when_it_is_done(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    study, output = tmp_path / "study", tmp_path / "board"
    log_of(study, BEGUN)
    state_of(study, 60)
    before = digests(study)
    assert mirror(study, states(study), "tensorboard", output) == 60 * 4
    assert mirror(study, states(study), "tensorboard", output) == 0
    assert digests(study) == before
    trained(study, 100)
    mirror(study, states(study), "tensorboard", output)
    assert mirror(study, states(study), "tensorboard", output) == 0
    read = accumulator.EventAccumulator(str(output / str(RUN)), {"scalars": 0})
    read.Reload()
    losses = read.Scalars("train/loss")
    assert [event.step for event in losses] == list(range(1, 101))
    assert [event.value for event in losses] == pytest.approx([5 - s / 100 for s in range(1, 101)])
    (event,) = read.Scalars("c/test/hard/rank_entropy")
    assert (event.step, event.value) == (100, 0.25)
    assert "c/test/hard/mrr_10" not in read.Tags()["scalars"]  # nothing was retrieved
