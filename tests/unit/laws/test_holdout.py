"""Which points are held out and which slice speaks for an axis, in products and where cells are missing."""

import numpy as np
import pandas as pd
import pytest

from rankscale.laws import fitting
from rankscale.laws.axes import PointSet, coordinates, headline_slice, headline_subset, is_product, point_sets
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.holdout import CELLS, LEVELS, forecast_splits

SIZES, SUBSETS = (16, 32, 48, 64, 80, 112, 160), (1000, 2000, 4000, 8000)
PLUS = sorted(
    {*((size, 8000) for size in SIZES), *((64, data) for data in SUBSETS), (16, 1000), (16, 4000)}
    | {(160, 1000), (160, 4000)}
)


def rows_of(cells):
    rows = pd.DataFrame(cells, columns=["size", "train_queries"])
    columns = {"encoder_parameters": rows["size"], "head_parameters": 1, "train_tokens": rows.train_queries}
    return rows.assign(
        model=[f"W{size}" for size in rows["size"]], train_flops=1.0, inference_flops=40 * rows["size"], **columns
    )


def grid_splits(cells, models, subsets, headline=True):
    rows = rows_of(cells)
    points = PointSet("grid", "all cells", rows, coordinates(rows, "grid"), headline)
    splits = forecast_splits(points, {"model": models, "data": subsets})
    return [([cells[i] for i in s.known], [cells[i] for i in s.ahead], s.held_out) for s in splits]


def test_the_headline_is_what_most_was_trained_of():
    finals = rows_of(PLUS)
    assert headline_slice("model", finals) == "train_queries=8000"
    assert headline_slice("data", finals) == "model=W64"
    assert not is_product(finals)
    # One size goes on to more data: it is no axis of sizes.
    more = rows_of([*PLUS, (64, 11000)])
    assert headline_slice("model", more) == headline_slice("model_with_head", more) == "train_queries=8000"
    assert headline_subset(more) == 8000
    assert headline_slice("tokens", more) == "model=W64"


def test_of_equals_the_largest_is_the_headline():
    finals = rows_of([(size, data) for size in SIZES for data in SUBSETS])
    assert headline_slice("model", finals) == "train_queries=8000"
    assert headline_slice("data", finals) == "model=W160"
    assert is_product(finals)


def test_single_cells_are_no_points_of_an_axis_where_others_have_more():
    sets = {(points.axis, points.fixed): points for points in point_sets(rows_of(PLUS))}
    assert {fixed for axis, fixed in sets if axis == "data"} == {"model=W16", "model=W64", "model=W160"}
    assert {fixed for axis, fixed in sets if axis == "model"} == {f"train_queries={d}" for d in (1000, 4000, 8000)}
    assert [len(sets[key].rows) for key in (("grid", "all cells"), ("compute", "all cells"))] == [len(PLUS)] * 2
    assert sets["model", "train_queries=8000"].headline
    assert len(sets["model_with_head", "train_queries=8000"].rows) == len(SIZES)
    alone = [points for points in point_sets(rows_of([(16, 1000), (16, 2000)])) if points.axis == "model"]
    assert len(alone) == 2


def test_a_product_holds_out_what_is_large_in_both():
    cells = [(size, data) for size in SIZES for data in SUBSETS]
    ((known, ahead, _),) = [split for split in grid_splits(cells, 2, 1) if split[2]]
    assert ahead == [(112, 8000), (160, 8000)]
    assert known == [cell for cell in cells if cell[0] < 112 and cell[1] < 8000]


def test_one_missing_cell_changes_nothing_else():
    cells = [(size, data) for size in SIZES for data in SUBSETS if (size, data) != (160, 8000)]
    ((known, ahead, _),) = [split for split in grid_splits(cells, 2, 1) if split[2]]
    assert ahead == [(112, 8000)]
    assert known == [cell for cell in cells if cell[0] < 112 and cell[1] < 8000]


def test_a_plus_forecasts_its_corner_from_all_other_cells():
    ((known, ahead, _),) = [split for split in grid_splits(PLUS, 2, 1) if split[2]]
    assert ahead == [(112, 8000), (160, 8000)]
    assert known == [cell for cell in PLUS if cell not in ahead]


def test_where_no_cell_is_large_in_both_all_that_are_left_out_are_forecast():
    cells = [cell for cell in PLUS if cell[0] != 160] + [(160, 4000), (64, 11000)]
    ((known, ahead, _),) = [split for split in grid_splits(cells, 1, 1) if split[2]]
    assert sorted(ahead) == [(64, 11000), (160, 4000)]
    assert sorted(known + ahead) == sorted(cells)


@pytest.mark.parametrize("cells", [PLUS, [*PLUS, (64, 11000)], [(s, d) for s in SIZES[:3] for d in SUBSETS[:3]]])
def test_splits_of_an_axis_are_told_apart_by_how_many_cells_they_know(cells):
    splits = grid_splits(cells, 2 if len(cells) > 9 else 1, 1)
    assert len({len(set(known)) for known, _, _ in splits}) == len(splits)
    assert sum(held_out for _, _, held_out in splits) == 1
    for known, ahead, _ in splits:
        assert not set(known) & set(ahead)


def test_an_axis_counts_its_own_cells():
    rows = rows_of([cell for cell in PLUS if cell[0] == 160])
    points = PointSet("data", "model=W160", rows, coordinates(rows, "data"))
    (split,) = forecast_splits(points, {"model": 2, "data": 1})
    assert rows.train_queries.iloc[split.ahead].tolist() == [8000]
    assert rows.train_queries.iloc[split.known].tolist() == [1000, 4000]


def test_what_a_law_of_two_sizes_needs_is_what_fitting_asks_for():
    x = np.array([(n, d) for n in (1e3, 1e4, 1e5) for d in (1e2, 1e3, 1e4)], float)[:CELLS]
    y = 5 * x[:, 0] ** -0.1 + x[:, 1] ** -0.2
    flat = x[:, 0] < 1e5
    assert min(len(np.unique(column)) for column in x[flat].T) < LEVELS
    laws = [law.for_ceiling(10.0) if law.bounded else law for law in LAWS.values() if law.variables == 2]
    assert all(fitting.why_unfittable(law, x, y) == "" for law in laws)
    # Those of the most parameters need as much; the bounded ones do with less.
    demanding = [law for law in laws if len(law.parameters) == 5 and not law.bounded]
    for law in demanding:
        assert "too few points" in fitting.why_unfittable(law, x[:-1], y[:-1])
        assert "too few points" in fitting.why_unfittable(law, x[flat], y[flat])
    assert {law.name for law in demanding} == {"joint", "additive"}
