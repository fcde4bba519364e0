"""What an answer costs each kind of ranker, counted by hand."""

import numpy as np
import pyarrow as pa
import pytest

from rankscale.core.ranker_flops import CROSS_ENCODER, LATE_INTERACTION, Size, answer_flops
from rankscale.evaluation.costs.inference import InferenceCosts, Reading, TokenCounts, read_candidates
from rankscale.models.model_size import training_flops
from rankscale.storage import tables

SIZE = Size(100, 10, 2, 4, 3)  # encoder, head, layers, hidden, numbers of a vector


@pytest.fixture
def folder(tmp_path):
    """Two queries of 1 and 3 tokens, three documents of 2, 4 and 9, all between one special token and another."""
    for unit, counts in (("queries", [1, 3]), ("documents", [2, 4, 9])):
        ids = [f"{unit[0]}{i}" for i in range(len(counts))]
        tables.write("tokens", {"id": ids, "ids": [[5] * n for n in counts]}, tmp_path / f"{unit}.parquet")
    (tmp_path / "special.json").write_text('{"before": [2], "after": [3], "pad": 0, "vocabulary": 9}')
    columns = {"split": "test", "candidates": "hard", "query_id": ["q1", "q0"], "positive": [0, 1]}
    tables.write("candidates", {**columns, "rows": [[1], [2]]}, tmp_path / "candidates.parquet")
    return tmp_path


def load_of(folder, fills=False):
    """With documents cut to 8 tokens: 6 and the two special ones."""
    (candidates,) = read_candidates(folder / "candidates.parquet")
    return TokenCounts(folder).load(Reading("any", 3, 7, 8, fills), candidates)


def test_what_a_query_asks_is_counted(folder):
    # q1 has 5 tokens, its documents 4 and 6: pairs of 3 + 2 + 3 and 3 + 4 + 3; q0 has 3, its documents 6 and 8.
    load = load_of(folder)
    pairs = np.array([[8, 10], [1 + 4 + 3, 1 + 6 + 3]])
    assert load.query == (5 + 3) / 2
    assert load.query_squared == (25 + 9) / 2
    assert load.candidates == 2
    assert load.pairs == pairs.sum() / 2
    assert load.pairs_squared == (pairs**2).sum() / 2
    assert load.compared == (5 * (4 + 6) + 3 * (6 + 8)) / 2
    filled = load_of(folder, fills=True)
    assert (filled.query, filled.compared) == (7, (7 * 10 + 7 * 14) / 2)


def test_an_answer_costs_what_a_third_of_a_training_step_does_and_the_scores(folder):
    load, parts = load_of(folder), {"encoder_parameters": 100, "head_parameters": 10}
    queries, pairs = np.array([5, 3]), np.array([8, 10, 8, 10])
    encoded = training_flops(queries, parts, 2, 4) / 3 / 2
    assert answer_flops("bi_encoder", load, SIZE) == pytest.approx(encoded + 2 * 3 * 2)
    joint = training_flops(pairs, parts, 2, 4) / 3 / 2
    assert answer_flops(CROSS_ENCODER, load, SIZE) == pytest.approx(joint)
    late = encoded + 2 * 10 * (load.query - 1) + 2 * 3 * load.compared
    assert answer_flops(LATE_INTERACTION, load, SIZE) == pytest.approx(late)


def test_a_checkpoint_is_counted_as_its_variant_reads(folder):
    readings = {"a": Reading("bi_encoder", 3, 7, 8, False), "b": Reading("cross_encoder", 3, 7, 8, False)}
    costs = InferenceCosts(readings, {"m": folder}, read_candidates(folder / "candidates.parquet"))
    row = {"model": "m", "split": "test", "candidates": "hard", "encoder_parameters": 100, "head_parameters": 10}
    row |= {"layers": 2, "hidden": 4}
    flops = [costs.of({**row, "variant": variant}) for variant in "ab"]
    assert flops == [answer_flops(reading.kind, load_of(folder), SIZE) for reading in readings.values()]
    assert pa.types.is_string(tables.SCHEMAS["metrics"].field("ranker").type)
