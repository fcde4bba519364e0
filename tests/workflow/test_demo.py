"""The small study, begun by `make demo`, killed with -9 and finished by the same command."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from rankscale.laws.forms.registry import LAWS
from rankscale.storage import tables
from tests.conftest import FIGURES, clone, run

KEYS = ["model", "train_queries", "seed", "step", "split", "candidates"]


def test_the_second_run_says_what_it_cleared_and_goes_on(project):
    output = (project / "killed.txt").read_text()
    assert "a killed run left its lock; clearing it" in output
    assert (
        "Over model size (on 1,024 training queries; 2 cells known, one held out, one seed), Rank-Entropy: undecided"
        in output
    )
    assert 'The claim "only Rank-Entropy scales"' in output
    assert "results/demo/report.html" in output
    first = (project / "first.txt").read_text()
    trained = [line for line in first.splitlines() if line.startswith("train: done")]
    # What was finished before the kill was not trained again: 9 runs in all.
    again = output.count("train: done")
    assert len(trained) >= 1
    assert again <= 9 - len(trained) + 2  # the jobs that the kill interrupted may be made twice


@pytest.mark.parametrize("printed", ["first.txt", "killed.txt"])
def test_the_longest_trainings_begin_first(project, printed):
    """Jobs that begin together are printed in any order."""
    begun = []
    for together in re.split(r"^Execute \d+ jobs", (project / printed).read_text(), flags=re.MULTILINE):
        sizes = re.findall(r": Training L1H(\d+) on (\d+) queries", together)
        begun.append([(12 * int(hidden) ** 2 + 13 * int(hidden)) * int(queries) for hidden, queries in sizes])
    begun = [work for work in begun if work]
    assert begun
    for earlier, later in pairwise(begun):
        assert min(earlier) >= max(later)


def test_evaluations_go_ahead_of_trainings_that_wait(project):
    printed = (project / "first.txt").read_text() + (project / "killed.txt").read_text()
    together = re.split(r"^Execute \d+ jobs", printed, flags=re.MULTILINE)

    def beginning(message):
        return [i for i, jobs in enumerate(together) if f": {message} " in jobs]

    assert beginning("Fixing the candidates")[0] <= beginning("Training")[0]
    assert beginning("Evaluating")[0] < beginning("Training")[-1]


def test_nothing_is_left_to_do(project):
    output = run("snakemake --cores 1 -n", project).stdout
    assert "Nothing to be done" in output


def test_no_half_files_are_left(project):
    assert not list(project.rglob("results/**/*.part"))
    assert not list(project.glob("results/demo/scratch/*/*/*/*/*"))


def recomputed(group):
    """Jackknifed parts of one group of observations, by leaving each query out in turn."""
    n, loss = int(group.n_candidates.max()), group.loss.to_numpy()
    weight = np.zeros((len(group), n + 1))
    for i, (above, tied) in enumerate(zip(group.above, group.tied, strict=True)):
        weight[i, above : above + tied + 1] = 1 / (tied + 1)

    def parts(w, losses):
        total = w.sum(0)
        on = total > 1e-9
        p, c = total[on] / len(losses), (w * losses[:, None]).sum(0)[on] / total[on]
        entropy, uncertainty = -(p * np.log(p)).sum(), -np.log(np.exp(-c).sum())
        return np.array([losses.mean(), entropy, losses.mean() - entropy - uncertainty, uncertainty])

    q = len(loss)
    without = np.array([parts(np.delete(weight, i, 0), np.delete(loss, i)) for i in range(q)])
    return (q * parts(weight, loss) - (q - 1) * without).mean(0)


def test_metrics_are_what_the_observations_say(study):
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    assert len(metrics) == (9 + 2) * 2
    checked = 0
    for path in sorted(study.glob("observations/**/*.parquet")):
        for key, group in pd.read_parquet(path).groupby(KEYS):
            row = metrics[(metrics[KEYS] == list(key)).all(axis=1)]
            assert len(row) == 1
            stored = row[["cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty"]].to_numpy()[0]
            assert stored == pytest.approx(recomputed(group), abs=1e-9)
            assert stored[0] == pytest.approx(stored[1:].sum(), abs=1e-9)
            checked += 1
    assert checked == len(metrics)


def test_no_test_query_is_trained_on_or_shapes_a_candidate(study, shared):
    queries = tables.read("queries", shared / "queries.parquet").to_pandas()
    qrels = tables.read("qrels", shared / "qrels.parquet").to_pandas()
    assert qrels.groupby("split").query_id.nunique().to_dict() == {"train": 2500, "test": 400, "dev": 100}
    assert not queries.text.str.casefold().duplicated().any()
    candidates = tables.read("candidates", study / "candidates/docstrings.parquet").to_pandas()
    evaluated = set(qrels[qrels.split == "test"].query_id)
    assert set(candidates.query_id) == evaluated
    positive = set(candidates.positive)
    for row in candidates.itertuples():
        assert row.positive not in row.rows
        assert len(set(row.rows)) == 16
        if row.candidates == "random":
            assert not positive & set(row.rows)


def test_a_run_is_over_the_whole_collection_in_order(study):
    run_table = pd.read_parquet(study / "runs/docstrings/base/L1H32/1024/42/final.parquet")
    assert run_table.groupby("query_id")["rank"].agg(list).map(lambda r: r == list(range(1, 201))).all()
    assert (run_table.groupby("query_id").score.diff().fillna(0) <= 0).all()


def test_laws_forecasts_and_what_they_leave_out_are_in_the_tables(study):
    fits = tables.read("fits", study / "fits.parquet").to_pandas()
    assert set(fits.law) == set(LAWS)
    axes = {"model", "model_with_head", "inference", "data", "tokens", "compute", "compute_proxy", "grid"}
    assert set(fits.axis) == axes
    assert set(fits.metric) == {
        *("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "calibrated_cross_entropy"),
        *("mean_log_rank", "1-mrr", "1-auc", "1-auc_global", "mean_rank", "1-ndcg_10"),
    }
    failed = fits[~fits.converged]
    assert (failed[failed.law == "floor"].note.str.contains("too few|rises|one size|positive values|flat")).all()
    assert fits[fits.converged].estimate.notna().all()
    ahead = tables.read("forecasts", study / "forecasts.parquet").to_pandas()
    ahead = ahead[ahead.held_out]
    assert set(ahead[ahead.axis == "model"].model) == {"L1H32"}
    assert set(ahead[ahead.axis == "data"].train_queries) == {1024}
    assert (ahead.relative_error == (ahead.predicted - ahead.observed) / ahead.observed.abs()).all()
    inside = ahead[ahead.low.notna()]
    assert (inside.covered == ((inside.low <= inside.observed) & (inside.observed <= inside.high))).all()


def test_the_summary_says_which_metric_is_forecast_best_and_what_to_train_next(study):
    text = (study / "summary.md").read_text()
    # Two sizes are left when one of three is held out.
    assert "no law for the known cells: too few points: 2 at 2 sizes" in text
    assert "](figures/model_scale.svg)" in text
    verdicts = tables.read("verdicts", study / "verdicts.parquet").to_pandas()
    assert set(verdicts.axis) == {"model", "data"}
    assert set(verdicts.verdict) == {"undecided"}
    contrasts = tables.read("contrasts", study / "contrasts.parquet").to_pandas()
    assert set(contrasts[contrasts.kind == "metric"]["first"]) == {"rank_entropy"}
    assert not contrasts.bounded.any()
    assert "Rank-Entropy: no law can be fitted to forecast the largest models." in text
    assert "For a budget of 100" in text
    ranking = tables.read("ranking", study / "ranking.parquet").to_pandas()
    assert {"model", "data"} <= set(ranking.axis)
    assert tables.read("plan", study / "plan.parquet").to_pandas().chosen.sum() == 1


def test_figures_and_provenance_are_there(study, project):
    for name in FIGURES:
        for suffix, start in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
            assert (study / f"figures/{name}.{suffix}").read_bytes().startswith(start)
    provenance = json.loads((study / "provenance.json").read_text())
    assert provenance["config"]["study"] == "demo"
    assert provenance["versions"]["torch"].startswith("2.13.0")
    assert {"train", "retrieve", "collect", "encode", "mine"} <= set(provenance["hours"])
    assert provenance["collection"]["queries"] == {"dev": 100, "test": 400, "train": 2500}


def test_one_stage_by_hand_gives_the_same_bytes(project, study, tmp_path):
    """The command that the workflow prints, run by hand into another place."""
    printed = (project / "killed.txt").read_text().splitlines()
    command = next(line for line in printed if "rankscale score" in line).removeprefix("Shell command: ").strip()
    out = command.split("--output ")[1].split()[0]
    run(command.replace(out, str(tmp_path / "again.parquet")).replace("--log ", "--log /dev/null --log "), project)
    assert (tmp_path / "again.parquet").read_bytes() == (project / out).read_bytes()


def test_another_clone_gives_the_same_metrics(project, study, tmp_path):
    """A second clone that trains one run anew, from the collection on, agrees to the last bit."""
    other = clone(tmp_path / "other")
    target = "results/demo/scores/docstrings/base/L1H8/256/42/final.parquet"
    run(f"snakemake --cores 2 {target}", other)
    assert (other / target).read_bytes() == (project / target).read_bytes()
    assert not (other / "results/demo/models/base/L1H32").exists()  # one target, and only what it needs
