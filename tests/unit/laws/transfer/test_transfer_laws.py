"""Two test sets of the same models: exponents and drops by hand, and what is said of a known difference."""

import numpy as np
import pandas as pd
import pytest

from rankscale.laws import study_fit
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.options import FitOptions
from rankscale.laws.transfer import transfer_laws
from rankscale.laws.variants.multipliers import Side
from rankscale.report.test_sets.transfers import transfer_sentences, transfer_table
from rankscale.storage import schemas, tables
from tests.unit.synthetic import write_study

SIZES, SUBSETS = np.geomspace(1e4, 1e6, 4), (500, 1000, 2000, 4000)


def side(*thetas):
    """Laws 0.1 + a / N^0.5 + b / D^0.5 of a quality's complement: the first as fitted, the others simulated."""
    x = np.array([(1e4, 400.0), (1e6, 400.0), (1e4, 40000.0), (1e6, 40000.0)])
    thetas = np.array([[np.log(a), 0.5, np.log(b), 0.5, 0.1] for a, b in thetas])
    return Side(x, np.ones(4), np.zeros(4), thetas[0], thetas)


def test_the_drop_is_that_of_the_two_laws_by_hand():
    rows = transfer_laws.drop_rows(LAWS["additive"], side((20, 2), (20, 2)), side((30, 4), (40, 4)))
    drops = {row["parameter"]: row for row in rows}
    # At (1e4, 400) MRR is 1 - .1 - .2 - .1 = .6 at home and 1 - .1 - .3 - .2 = .4 there, or .3 in the other study.
    assert drops["drop_smallest"]["estimate"] == pytest.approx(1 - 0.4 / 0.6)
    # At (1e6, 40000): .87 at home, .85 there.
    assert drops["drop_largest"]["estimate"] == pytest.approx(1 - 0.85 / 0.87)
    assert drops["drop_change"]["estimate"] == pytest.approx(0.4 / 0.6 - 0.85 / 0.87)
    smallest = 1 - 0.4 / 0.6, 1 - 0.3 / 0.6
    assert drops["drop_smallest"]["low"] == pytest.approx(smallest[0] + 0.025 * (smallest[1] - smallest[0]))
    assert drops["drop_smallest"]["high"] == pytest.approx(smallest[1] - 0.025 * (smallest[1] - smallest[0]))


def study_on(folder, **harder):
    """A study evaluated on a test set `home` and on others, where models are as if they had had so much less data."""
    parts = []
    for name, share in {"home": 1.0, **harder}.items():
        write_study(folder, SIZES, SUBSETS, 400, (1, 2), variants={"base": share}, collection=name)
        parts.append(tables.read("metrics", folder / "metrics.parquet").to_pandas())
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    metrics = study_on(folder, twin=1.0, hard=0.1)
    options = FitOptions(bootstrap=200, columns=["rank_entropy", "1-mrr"], hold_out_models=1)
    tasks = list(transfer_laws.transfer_tasks(metrics, folder, options))
    rows = [row for task in tasks for row in transfer_laws.compare_test_sets(task).transfers]
    return metrics, pd.DataFrame(rows)


def test_every_table_has_each_test_set_s_own_rows(tmp_path):
    metrics = study_on(tmp_path, hard=0.1)
    options = FitOptions(bootstrap=100, columns=["rank_entropy"], hold_out_models=1)
    rows = study_fit.fit_all(metrics, tmp_path, options)
    for name in ("fits", "forecasts", "curves", "influence", "ranking", "verdicts"):
        assert {row["collection"] for row in rows[name]} == {"home", "hard"}, name
    assert {row["collection"] for row in rows["transfers"]} == {"hard"}


def test_a_twin_of_the_test_set_has_the_same_laws_and_no_drop(compared):
    _, rows = compared
    twin = rows[rows.collection == "twin"]
    exponents = twin[twin.parameter.isin(["alpha", "beta"])]
    assert set(exponents.metric) == {"rank_entropy", "calibrated_cross_entropy", "1-mrr"}
    assert exponents.difference.abs().max() < 1e-9
    assert (exponents.difference_low < 0).all()
    assert (exponents.difference_high > 0).all()
    drops = twin[twin.parameter.isin(transfer_laws.DROPS)]
    assert len(drops) == 3
    assert drops.estimate.abs().max() < 1e-9


def test_a_harder_test_set_loses_what_was_observed_there(compared):
    metrics, rows = compared
    drops = rows[(rows.collection == "hard") & (rows.metric == "1-mrr")].set_index("parameter")
    cells = metrics.groupby(["collection", "encoder_parameters", "train_queries"]).mrr.mean()
    for name, cell in (("drop_smallest", (10**4, 500)), ("drop_largest", (10**6, 4000))):
        observed = 1 - cells[("hard", *cell)] / cells[("home", *cell)]
        # Laws are no more exact than that at the ends of these synthetic grids.
        assert drops.estimate[name] == pytest.approx(observed, abs=0.12)
        assert drops.low[name] > 0.05
    assert drops.estimate["drop_change"] == pytest.approx(
        drops.estimate["drop_largest"] - drops.estimate["drop_smallest"]
    )


def test_rows_make_a_table_and_sentences(compared, tmp_path):
    metrics, rows = compared
    columns = {name: [None if pd.isna(v) else v for v in rows[name]] for name in schemas.SCHEMAS["transfers"].names}
    tables.write("transfers", columns, tmp_path / "transfers.parquet")
    read = tables.read("transfers", tmp_path / "transfers.parquet").to_pandas()
    sentences = transfer_sentences(read, metrics)
    about = [line for line in sentences if line.startswith("On twin (test), Rank-Entropy beside home (test): ")]
    assert len(about) == 1
    assert about[0].count("the two cannot be told apart") == 2
    drop = next(line for line in sentences if line.startswith("On hard (test), the drop of MRR goes from "))
    assert "at the smallest cell to" in drop
    assert "| hard (test) " in transfer_table(read, metrics)


def test_a_study_of_one_test_set_compares_nothing(tmp_path):
    metrics = study_on(tmp_path)
    assert list(transfer_laws.transfer_tasks(metrics, tmp_path, FitOptions(bootstrap=100))) == []


def test_sizes_too_few_for_a_law_say_so(tmp_path):
    few = study_on(tmp_path, other=0.5)
    few = few[(few.encoder_parameters == 10**4) & (few.train_queries <= 1000)]
    tasks = transfer_laws.transfer_tasks(few, tmp_path, FitOptions(bootstrap=100, columns=["rank_entropy"]))
    rows = [row for task in tasks for row in transfer_laws.compare_test_sets(task).transfers]
    assert {row["parameter"] for row in rows} == {transfer_laws.NO_LAW}
    assert all(row["note"].startswith("home: ") for row in rows)
    assert "transfers" not in study_fit.OUTPUTS
