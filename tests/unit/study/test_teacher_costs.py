"""What teachers will take, against the formula by hand: 2 N and 4 L H S FLOPs a token."""

import json
import struct

import pytest
import yaml

from rankscale.study import cost_estimates
from rankscale.study.config import check_config
from rankscale.study.costs.teacher_costs import unknown_teachers
from tests.conftest import SMALL
from tests.unit.study.test_grid import SIZE

N = 2 * (12 * 128**2 + 13 * 128)  # two layers of width 128


def study(teacher, **miner):
    config = yaml.safe_load(SMALL)
    config["miner"] |= miner
    config["training"] |= {"objective": {"name": "kl"}, "negatives": "mined", "teacher": teacher}
    return check_config(config)


def taught(config):
    return [job for job in cost_estimates.job_work(config, SIZE) if job.stage == "teach"]


def forward(tokens, layers=2, hidden=128, n=N):
    """Of one text."""
    return tokens * (2 * n + 4 * layers * hidden * tokens)


def test_a_cross_encoder_reads_each_pair():
    """2,500 queries, their positives and 20 more; a query of 10 tokens and a passage that is cut at 32."""
    model = {"model": "google/bert_uncased_L-2_H-128_A-2", "kind": "cross_encoder", "top_k": 20, "shards": 5}
    jobs = taught(study({**model, "passage_length": 32}))
    assert len(jobs) == 5
    for job in jobs:
        assert job.parameters == N
        assert job.flops == pytest.approx(500 * 21 * forward(10 + 32))
    assert len({job.target for job in jobs}) == 5


def test_a_bi_encoder_reads_each_text_once():
    (job,) = taught(study({"model": "google/bert_uncased_L-2_H-128_A-2", "top_k": 20}))
    assert job.flops == pytest.approx(2500 * forward(10) + 2500 * 21 * forward(40))
    (job,) = taught(study({"model": "google/bert_uncased_L-2_H-128_A-2"}, top_k=500))
    assert job.flops == pytest.approx(2500 * forward(10) + 1e6 * forward(40))  # the whole collection


def test_a_checkpoint_is_as_large_as_its_file_says(tmp_path):
    facts = json.dumps({"encoder": {"num_hidden_layers": 2, "hidden_size": 128}})
    header = json.dumps({"__metadata__": {"rankscale": facts}}).encode()
    path = tmp_path / "final.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    (job,) = taught(study({"scores": str(path)}))
    assert job.flops == pytest.approx(2500 * forward(10) + 2500 * 51 * forward(20))  # as long as in training
    path.write_bytes(b"short")
    damaged = study({"scores": str(path)})
    assert taught(damaged) == []
    assert len(unknown_teachers(damaged)) == 1


def test_the_miner_and_files_cost_nothing_and_what_is_unknown_is_named():
    assert taught(study({"scores": "miner"})) == []
    assert unknown_teachers(study({"scores": "miner"})) == []
    unknown = study({"model": "org/encoder"})
    assert taught(unknown) == []
    assert [name.rpartition("-")[0] for name in unknown_teachers(unknown)] == ["org--encoder"]
