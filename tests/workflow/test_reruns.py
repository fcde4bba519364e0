"""What runs again after a change, read off the real dry run."""

import re
import shutil

import pytest

from rankscale.core import stage_versions
from tests.conftest import SMALL, clone, run


@pytest.fixture
def finished(project, tmp_path):
    """A copy of the finished project, timestamps and Snakemake's records included."""
    return shutil.copytree(project, tmp_path / "copy", symlinks=True)


def jobs(folder, *more):
    """How many jobs of each rule a dry run plans."""
    output = run(f"snakemake --cores 1 -n {' '.join(more)}", folder).stdout
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", output, re.DOTALL)
    return {} if not table else {k: int(v) for k, v in (line.split() for line in table[1].splitlines())}


def edit(folder, before, after):
    (folder / "config.yaml").write_text(SMALL.replace(before, after))
    assert before in SMALL


LAST = {"fit": 1, "plan": 1, "plot": 1, "summarize": 1, "page": 1, "all": 1}
SUBSAMPLED = {"subsample": 1, **LAST}  # where the metrics change


def test_nothing_after_success_nor_after_a_fresh_checkout(finished):
    assert jobs(finished) == {}
    for file in finished.rglob("workflow/**/*.py"):
        file.touch()
    (finished / "config.yaml").touch()
    assert jobs(finished) == {}


def test_a_fresh_clone_with_the_results_copied_in_runs_nothing(finished, tmp_path):
    fresh = clone(tmp_path / "fresh")
    for part in ("results", ".snakemake"):
        shutil.copytree(finished / part, fresh / part, symlinks=True)
    assert jobs(fresh) == {}


def test_a_touched_table_runs_what_reads_it_unless_its_checksum_is_kept(finished):
    """Snakemake keeps checksums of inputs up to 1 MB; beyond it believes the time, until told otherwise."""
    small, large = (finished / "results/shared/docstrings" / name for name in ("qrels.parquet", "documents.parquet"))
    assert small.stat().st_size < 1e6 < large.stat().st_size
    small.touch()
    assert jobs(finished) == {}
    large.touch()
    assert jobs(finished)["encode"] == 1
    run("snakemake --cores 1 --touch", finished)
    assert jobs(finished) == {}


def test_one_more_seed_trains_that_seed_alone(finished):
    edit(finished, "  epochs: 2\n", "  epochs: 2\n  seeds: [42, 43]\n")
    trained = {"train": 8, "train_with_snapshots": 1}
    assert jobs(finished) == {**trained, "retrieve": 11, "score": 11, "gather": 1, **SUBSAMPLED}


def test_one_more_variant_trains_that_variant_alone(finished):
    edit(finished, "evaluation:", "variants: [{name: base}, {name: slow, training: {epochs: 3}}]\nevaluation:")
    trained = {"train": 8, "train_with_snapshots": 1}
    assert jobs(finished) == {**trained, "retrieve": 11, "score": 11, "gather": 1, **SUBSAMPLED}


def test_another_miner_mines_and_trains_anew(finished):
    edit(finished, "miner: {name: lsa,", "miner: {name: deeper, encoder: lsa,")
    trained = {"train": 8, "train_with_snapshots": 1}
    mined = {"encode": 1, "mine": 1, "sample": 1}
    assert jobs(finished) == {**mined, **trained, "retrieve": 11, "score": 11, "gather": 1, **SUBSAMPLED}


def test_a_changed_figure_is_drawn_again_alone(finished):
    module = finished / "workflow/rankscale/report/figures/curves.py"
    module.write_text(module.read_text().replace("dotted: chance", "dots: chance"))
    assert jobs(finished) == {"plot": 1, "page": 1, "all": 1}


def test_a_deleted_table_between_is_made_again_only_when_asked_for(finished):
    observed = "results/demo/observations/docstrings/base/L1H8/256/42/final.parquet"
    (finished / observed).unlink()
    assert jobs(finished, "results/demo/scores/docstrings/base/L1H8/256/42/final.parquet") == {}
    assert jobs(finished, observed) == {"retrieve": 1}


def test_one_more_size_trains_that_size_alone(finished):
    edit(finished, "models:\n", "models:\n  - {name: L1H12, layers: 1, hidden: 12, heads: 2}\n")
    assert jobs(finished) == {"train": 3, "retrieve": 3, "score": 3, "gather": 1, **SUBSAMPLED}


def test_one_more_subset_trains_that_subset_alone(finished):
    edit(finished, "[256, 512, 1024]", "[256, 384, 512, 1024]")
    assert jobs(finished) == {"train": 3, "retrieve": 3, "score": 3, "gather": 1, **SUBSAMPLED}


def test_adding_a_cell_trains_that_cell_alone(finished):
    """From a grid with cells missing; what was trained and is no cell any more stays where it is."""
    cells = "\n  cells: [{train_queries: [1024]}, {models: [L1H16]}, {models: [L1H8], train_queries: [256]}]"
    edit(finished, "[256, 512, 1024]", f"[256, 512, 1024]{cells}")
    assert jobs(finished) == {"gather": 1, **SUBSAMPLED}
    for kind in ("models", "observations/docstrings", "runs/docstrings", "per_query/docstrings", "scores/docstrings"):
        shutil.rmtree(finished / f"results/demo/{kind}/base/L1H8/256")
    assert jobs(finished) == {"train": 1, "retrieve": 1, "score": 1, "gather": 1, **SUBSAMPLED}


def test_searching_with_the_runs_on_the_largest_subset_alone_retrieves_nothing_anew(finished):
    edit(finished, "full_retrieval: {top_k: 200}", "full_retrieval: {top_k: 200, runs: largest}")
    assert jobs(finished) == {"score_without_run": 6, "gather": 1, **SUBSAMPLED}


def test_another_evaluation_seed_trains_nothing(finished):
    edit(finished, "evaluation: {", "evaluation: {seed: 8, ")
    assert jobs(finished) == {"sample": 1, "retrieve": 11, "score": 11, "gather": 1, **SUBSAMPLED}


def test_another_number_of_draws_refits_alone(finished):
    edit(finished, "bootstrap: 100", "bootstrap: 101")
    assert jobs(finished) == LAST


def test_another_price_plans_alone(finished):
    edit(finished, "judged_query: 0.05", "judged_query: 0.06")
    assert jobs(finished) == {"plan": 1, "plot": 1, "summarize": 1, "page": 1, "all": 1}


def test_another_metric_to_fit_refits_alone(finished):
    edit(finished, "laws: {", "laws: {metrics: [rank_entropy, mean_rank], ")
    assert jobs(finished) == LAST  # the plan looks at what its law forecast


def test_another_correction_scores_anew(finished):
    edit(finished, "evaluation: {", "evaluation: {correction: none, ")
    assert jobs(finished) == {"score": 11, "gather": 1, **SUBSAMPLED}


def test_another_device_changes_nothing_but_the_record(finished):
    (finished / "config.yaml").write_text(SMALL + "machine: {device: cpu}\n")
    assert jobs(finished) == {"summarize": 1, "page": 1, "all": 1}


def test_an_edited_cheap_stage_runs_again_and_what_follows(finished):
    module = finished / "workflow/rankscale/stages/gather.py"
    module.write_text(module.read_text().replace("%d rows of %d runs", "%d rows, %d runs"))
    assert jobs(finished) == {"gather": 1, **SUBSAMPLED}


def test_a_comment_changes_nothing(finished):
    module = finished / "workflow/rankscale/laws/fitting.py"
    module.write_text(module.read_text() + "# a remark\n")
    assert jobs(finished) == {}


def test_a_costly_stage_runs_again_when_its_recipe_number_says_so(finished):
    module = finished / "workflow/rankscale/core/stage_versions.py"
    module.write_text(re.sub(r"RETRIEVE = \d+", "RETRIEVE = 99", module.read_text()))
    assert jobs(finished) == {"retrieve": 11, "score": 11, "gather": 1, **SUBSAMPLED}


def test_an_edited_costly_stage_runs_nothing_but_a_check_fails_and_says_what_to_do(finished, monkeypatch):
    module = finished / "workflow/rankscale/training/learner.py"
    module.write_text(module.read_text() + "\n\nEDITED = True\n")
    assert jobs(finished) == {}
    monkeypatch.setenv("PYTHONPATH", str(finished / "workflow"))
    done = run("python -m pytest -q -p no:cacheprovider tests/unit/study/test_code_digest.py", finished, check=False)
    assert done.returncode
    assert f"code of `train` changed (recipe {stage_versions.TRAIN}). If its results change, raise" in done.stdout


def test_a_finished_study_is_kept_by_touch_where_only_the_call_of_its_stages_changed(finished):
    for path in (finished / "workflow/rules").glob("*.smk"):
        path.write_text(path.read_text().replace("{resources.launcher} ", "{resources.launcher}  "))
    rerun = jobs(finished)
    assert rerun["collect"] == 1
    assert rerun["train"] + rerun["train_with_snapshots"] == 9
    before = {path: path.read_bytes() for path in finished.glob("results/demo/*.parquet")}
    run("snakemake --touch --cores 1", finished)
    assert jobs(finished) == {}
    assert {path: path.read_bytes() for path in finished.glob("results/demo/*.parquet")} == before


def test_a_deleted_table_is_made_again_with_what_follows(finished):
    (finished / "results/demo/metrics.parquet").unlink()
    assert jobs(finished) == {"gather": 1, **SUBSAMPLED}


def test_a_second_study_reuses_the_collection(finished):
    (finished / "two.yaml").write_text(SMALL.replace("study: demo", "study: two"))
    planned = jobs(finished, "--configfile two.yaml")
    assert not {"collect", "tokenize", "encode", "mine"} & set(planned)
    assert planned["train"] + planned["train_with_snapshots"] == 9


def test_a_clash_over_a_shared_name_is_refused_and_deletes_nothing(finished):
    (finished / "two.yaml").write_text(SMALL.replace("study: demo", "study: two").replace("top_k: 50", "top_k: 40"))
    done = run("snakemake --cores 1 -n --configfile two.yaml", finished, check=False)
    assert done.returncode == 1
    assert "study demo made it with top_k=50, study two wants top_k=40" in done.stdout
    assert "Traceback" not in done.stdout
    assert (finished / "results/shared/docstrings/lsa/negatives/0.parquet").exists()
    assert jobs(finished, "--configfile two.yaml --config remake=True")["mine"] == 1


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("learning_rate", "learing_rate", "training.learing_rate: unknown key; did you mean learning_rate?"),
        ("hidden: 16, heads: 2", "hidden: 16, heads: 3", "models: L1H16: 3 heads do not divide hidden 16"),
        ("[256, 512, 1024]", "[]", "training.train_queries: [] is not allowed"),
        ("{hard: 16", "{hard: 51", "evaluation.candidates.hard: 51 is more than the 50 negatives"),
    ],
)
def test_a_wrong_config_ends_before_any_job(finished, before, after, message):
    edit(finished, before, after)
    done = run("snakemake --cores 1", finished, check=False)
    assert done.returncode == 1
    assert f"config.yaml: {message}" in done.stdout
    assert "Traceback" not in done.stdout
    assert "Job stats" not in done.stdout


def test_a_key_that_stands_twice_ends_before_any_job(finished):
    (finished / "config.yaml").write_text(SMALL + "study: other\n")
    done = run("snakemake --cores 1 -n", finished, check=False)
    assert done.returncode == 1
    assert "the key study stands twice" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_results_folder_that_is_none_ends_before_any_job(finished):
    shutil.rmtree(finished / "results")
    (finished / "results").write_text("")
    done = run("snakemake --cores 1", finished, check=False)
    assert "the folder results cannot be written to" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_subset_larger_than_the_collection_ends_in_one_line(finished):
    edit(finished, "[256, 512, 1024]", "[256, 512, 1024, 9999]")
    target = "results/demo/models/base/L1H8/9999/42/final.safetensors"
    done = run(f"snakemake --cores 1 {target}", finished, check=False)
    assert "a subset of 9999 queries was asked for, but the collection has only 2500" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_corrupted_table_is_named_and_made_again_once_it_is_deleted(finished):
    path, fits = finished / "results/demo/metrics.parquet", finished / "results/demo/fits.parquet"
    before = path.read_bytes(), fits.read_bytes()
    path.write_bytes(before[0][:-20])
    done = run("snakemake --cores 2 fits", finished, check=False)
    assert "results/demo/metrics.parquet: not a whole Parquet table" in done.stdout
    assert "Traceback" not in done.stdout
    path.unlink()
    run("snakemake --cores 2 fits", finished)
    assert (path.read_bytes(), fits.read_bytes()) == before


def test_a_corrupted_table_is_named(finished):
    path = finished / "results/demo/candidates/docstrings.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    done = run(
        "snakemake --cores 1 --forcerun retrieve -- "
        "results/demo/observations/docstrings/base/L1H8/256/42/final.parquet",
        finished,
        check=False,
    )
    assert "results/demo/candidates/docstrings.parquet: not a whole Parquet table" in done.stdout
    # What was there before the failure is not there any more, but nothing else was lost.
    assert (finished / "results/demo/observations/docstrings/base/L1H8/512/42/final.parquet").exists()
