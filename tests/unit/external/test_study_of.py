"""Results from elsewhere: their numbers are those of the public functions, and bad input is refused by name."""

import numpy as np
import pandas as pd
import pytest

import rankscale
from rankscale.core.errors import StudyError
from rankscale.external.observed import write_study
from rankscale.external.query_table import checked_table, read_table
from rankscale.external.trec_folder import trec_table
from rankscale.storage import tables

SIZES, DATA, QUERIES, WIDTH = (1000, 4000, 16000), (100, 400), 80, 12


def scores_of(size, data):
    """The better the larger the model and the more the data: the positive first, then the candidates."""
    random = np.random.default_rng([size, data])
    scores = random.normal(size=(QUERIES, 1 + WIDTH)).round(3)
    scores[:, 0] += np.log(size * data) / 10
    return scores


def ladder():
    rows = []
    for size in SIZES:
        for data in DATA:
            for query, scores in enumerate(scores_of(size, data)):
                row = {"model": f"m{size}", "size": size, "data": data, "query": f"q{query}"}
                rows.append({**row, "positive": scores[0], "scores": scores[1:]})
    return pd.DataFrame(rows)


def observed(scores):
    loss = np.log(np.exp(scores).sum(1)) - scores[:, 0]
    above, tied = (f(scores[:, 1:], scores[:, :1]).sum(1) for f in (np.greater, np.equal))
    return loss, above, tied


def losses():
    """The same ladder without its scores."""
    parts = []
    for (size, data), rows in ladder().groupby(["size", "data"], sort=False):
        loss, above, tied = observed(scores_of(size, data))
        parts.append(rows.drop(columns=["positive", "scores"]).assign(loss=loss, above=above, tied=tied))
    return pd.concat(parts).assign(n_candidates=WIDTH)


def metrics_of(table, folder):
    checked = checked_table(table, folder / "table", "study")
    return write_study(checked, "study", folder, "expected", "jackknife").to_pandas()


def test_metrics_are_those_of_the_public_functions(tmp_path):
    metrics = metrics_of(ladder(), tmp_path)
    assert len(metrics) == len(SIZES) * len(DATA)
    for row in metrics.itertuples():
        scores = scores_of(row.encoder_parameters, row.train_queries)
        ids = [f"q{i}" for i in range(QUERIES)]
        order = np.argsort(ids)  # rows are sorted by query
        scores, ids = scores[order], [ids[i] for i in order]
        loss, above, tied = observed(scores)
        expected = rankscale.decompose(loss, above, tied, n_candidates=WIDTH)
        for name in ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "mrr"):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=1e-12)
        calibration = rankscale.calibrate(scores, ids)
        assert row.calibrated_cross_entropy == pytest.approx(calibration.loss.mean(), abs=1e-12)
        assert row.best_inverse_temperature == pytest.approx(calibration.best_inverse_temperature)
    assert metrics.train_flops.isna().all()
    path = tmp_path / "observations/external/base/m1000/100/0/final.parquet"
    assert not path.exists()  # the collection has the study's name, unless the table has one
    assert len(tables.read("observations", tmp_path / "observations/study/base/m1000/100/0/final.parquet")) == QUERIES


def test_losses_and_ranks_give_the_same_but_for_what_needs_scores(tmp_path):
    full, bare = metrics_of(ladder(), tmp_path / "a"), metrics_of(losses(), tmp_path / "b")
    for name in ("cross_entropy", "rank_entropy", "rank_score_alignment", "mrr", "auc", "mean_log_rank"):
        np.testing.assert_allclose(full[name], bare[name], atol=1e-12)
    assert full.calibrated_cross_entropy.notna().all()
    assert (
        bare[["calibrated_cross_entropy", "auc_global", "margin_50", "best_inverse_temperature"]].isna().all(axis=None)
    )


def test_an_inverse_temperature_multiplies_scores_in_the_loss_alone(tmp_path):
    plain, sharp = (
        metrics_of(ladder(), tmp_path / "a"),
        metrics_of(ladder().assign(inverse_temperature=2.0), tmp_path / "b"),
    )
    assert (plain.cross_entropy != sharp.cross_entropy).all()
    for name in ("rank_entropy", "calibrated_cross_entropy"):
        np.testing.assert_allclose(plain[name], sharp[name])


@pytest.mark.parametrize("form", ["parquet", "json", "blanks"])
def test_a_file_gives_what_was_written(tmp_path, form):
    table, path = ladder(), tmp_path / ("a.parquet" if form == "parquet" else "a.csv")
    if form == "parquet":
        table.to_parquet(path)
    else:
        text = (lambda v: str(v.tolist())) if form == "json" else (lambda v: " ".join(map(repr, v.tolist())))
        table.assign(scores=table.scores.map(text)).to_csv(path, index=False)
    found, expected = read_table(path, "s"), checked_table(table, path, "s")
    np.testing.assert_array_equal(np.stack(found.scores), np.stack(expected.scores))
    pd.testing.assert_frame_equal(found.drop(columns="scores"), expected.drop(columns="scores"))


def trec_folder(folder):
    """The ladder as runs: document d0 is a query's positive, d0b another that is relevant, which no list has."""
    folder.mkdir()
    runs = ["run,model,size,data"]
    for size in SIZES:
        for data in DATA:
            runs.append(f"m{size}-{data}.txt,m{size},{size},{data}")
            lines = []
            for query, scores in enumerate(scores_of(size, data)):
                order = np.argsort(-scores, kind="stable")
                lines += [f"q{query} Q0 d{d} {rank} {scores[d]!r} x" for rank, d in enumerate(order, 1)]
            (folder / f"m{size}-{data}.txt").write_text("\n".join(lines).replace("np.float64(", "").replace(")", ""))
    (folder / "runs.csv").write_text("\n".join(runs))
    (folder / "qrels.txt").write_text("\n".join(f"q{q} 0 d0 1\nq{q} 0 d0b 1\nq{q} 0 d3 0" for q in range(QUERIES)))
    return folder


def test_runs_give_what_the_table_of_their_scores_gives(tmp_path):
    folder = trec_folder(tmp_path / "runs")
    metrics = metrics_of(trec_table(folder), tmp_path / "a")
    pd.testing.assert_frame_equal(metrics, metrics_of(ladder(), tmp_path / "b"))


def test_runs_over_other_documents_are_refused(tmp_path):
    folder = trec_folder(tmp_path / "runs")
    path = folder / "m4000-400.txt"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("q7 Q0 d5 ")))
    with pytest.raises(StudyError, match=r"m4000-400.txt: query q7 lacks d5, which m1000-100.txt scores"):
        trec_table(folder)
    (folder / "qrels.txt").write_text("q1 0 d0")
    with pytest.raises(StudyError, match=r"qrels.txt:1: 'q1 0 d0' is not query, 0, document, grade"):
        trec_table(folder)


def changed(table, row, column, value):
    table = table.astype({column: object})
    table.at[row, column] = value
    return table


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.drop(columns="size"), "lacks size; it needs model, size, data and query"),
        (lambda t: t.drop(columns="scores"), "lacks loss, above, tied, n_candidates"),
        (lambda t: changed(t, 4, "positive", float("nan")), "column positive, row 5: 'nan' is no finite number"),
        (
            lambda t: changed(t, 4, "scores", [1.0, float("inf")]),
            "column scores, row 5: takes one or more finite numbers",
        ),
        (lambda t: changed(t, 4, "scores", "a b"), "column scores, row 5: 'a b' is no list of numbers"),
        (lambda t: changed(t, 4, "data", 10.5), "column data, row 5: '10.5': takes a whole number, 1 or more"),
        (lambda t: changed(t, 4, "model", "../up"), "column model, row 5: '..--up': takes letters"),
        (lambda t: changed(t, 4, "query", None), "column query, row 5: 'None': is empty"),
        (lambda t: changed(t, 4, "query", "q3"), "row 5 repeats row 4: model m1000, data 100, seed 0, query q3"),
        (lambda t: changed(t, 4, "size", 7), "column size: m1000 has several values: 1000, 7"),
        (lambda t: changed(t, 4, "size", 0), "column size, row 5: '0.0': takes a number above 0"),
        (
            lambda t: changed(t, 4, "query", "other"),
            "base/m1000/400/0 lacks query other of test, which base/m1000/100/0 has",
        ),
        (lambda t: changed(t, 4, "scores", [1.0]), "candidates, others have"),
        (lambda t: t[(t["size"] == 1000) & (t.data == 100)], "all models have size 1000 and 100 training data"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(tmp_path, spoil, said):
    with pytest.raises(StudyError, match=said.replace("(", r"\(").replace("..-", r"\.\.-")):
        metrics_of(spoil(ladder()), tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("loss", -0.1, "a cross-entropy is 0 or more"),
        ("above", WIDTH + 1, "with those tied these are more than n_candidates"),
        ("tied", 0.5, "takes a whole number"),
        ("n_candidates", 0, "takes a whole number"),
    ],
)
def test_impossible_losses_and_ranks_are_refused(tmp_path, column, value, said):
    table = losses().reset_index(drop=True).astype({column: float})
    table.at[3, column] = value
    with pytest.raises(StudyError, match=rf"column {column}, row 4: .*{said}"):
        metrics_of(table, tmp_path)


def test_what_is_missing_of_a_studys_own_tables_stays_an_error(tmp_path):
    metrics_of(losses(), tmp_path)
    path = next(tmp_path.glob("observations/*/base/m1000/100/0/final.parquet"))
    table = tables.read("observations", path)
    assert table["margin"].null_count == QUERIES
    with pytest.raises(StudyError, match="column margin, row 0: a value is missing"):
        tables.write("observations", table, tmp_path / "own.parquet")
