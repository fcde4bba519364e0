"""A table under another's name is refused, whoever reads it."""

import json
import shutil

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.layout import FINAL, Layout, RunId, promised_keys
from rankscale.evaluation.paired_tests import values_per_query
from rankscale.laws import study_fit
from rankscale.report.study_comparison import read_study
from rankscale.stages import fit, gather, plan, plot, score, subsample, summarize
from rankscale.storage import schemas, tables
from rankscale.tools import headline
from tests.unit.synthetic import checkpoint_of, texts_of, write_study

SIZES, SUBSETS = np.geomspace(1e4, 1e6, 4), (500, 1000, 2000)
LAYOUT = Layout("one", "quora", "lsa")
RUN = RunId("base", "L2H128", "500", 42)
PROMISED = {"study": "one", "variant": "base", "model": "L2H128", "subset": "500", "train_queries": 500, "seed": 42}


def call(stage, *arguments):
    stage.main(stage.arguments().parse_args(list(map(str, arguments))))


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (LAYOUT.checkpoint(RUN, FINAL), {**PROMISED, "checkpoint": "final"}),
        (LAYOUT.checkpoint(RUN, "20"), {**PROMISED, "checkpoint": "20", "step": 20}),
        (f"{LAYOUT.run(RUN)}/times.parquet", PROMISED),
        (LAYOUT.table("runs", RUN, "20"), {**PROMISED, "collection": "quora", "checkpoint": "20", "step": 20}),
        (LAYOUT.candidates(), {}),
        ("elsewhere/final.parquet", {}),
        (f"scratch/{RUN}/0123456789abcdef/checkpoints/final.safetensors", {}),
    ],
)
def test_a_path_promises_the_keys_that_it_is_made_of(path, keys):
    assert promised_keys(f"/somewhere/{path}") == keys
    every = RUN._replace(subset="all")
    assert "train_queries" not in promised_keys(LAYOUT.table("scores", every, FINAL))


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """The folder of a study called synthetic, with what it reports."""
    folder = tmp_path_factory.mktemp("studies") / "synthetic"
    write_study(folder, SIZES, SUBSETS, queries=60, searching=SUBSETS)
    empty = schemas.SCHEMAS["left_out"].empty_table()
    tables.write("left_out", empty, folder / "left_out.parquet", study="synthetic")
    fit_in(folder)
    return folder


def fit_in(folder, *more):
    outputs = [word for name in study_fit.OUTPUTS for word in (f"--{name}", folder / f"{name}.parquet")]
    chosen = ("--columns", "rank_entropy", "cross_entropy", "1-mrr", "1-ndcg_10", "--bootstrap", 100)
    call(fit, "--metrics", folder / "metrics.parquet", "--study", folder, *chosen, *outputs, *more)


@pytest.fixture
def synthetic(analysed, tmp_path):
    return shutil.copytree(analysed, tmp_path / "synthetic")


def exchange(first, second):
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def evaluated(folder, kind, size=SIZES[0], subset=500):
    return folder / f"{kind}/synthetic/base/N{int(size)}/{subset}/42/final.parquet"


@pytest.mark.parametrize("kind", ["observations", "per_query"])
@pytest.mark.parametrize("other", [(SIZES[1], 500), (SIZES[0], 1000)])
def test_tables_of_two_checkpoints_exchanged_are_no_noise_of_either(synthetic, kind, other):
    exchange(evaluated(synthetic, kind), evaluated(synthetic, kind, *other))
    with pytest.raises(StudyError, match=rf"{kind}/.* is .*, where .* is asked for; .*delete it and run again"):
        fit_in(synthetic)


def test_nor_are_they_scored_dropped_or_compared(synthetic, tmp_path):
    path = evaluated(synthetic, "observations", subset=2000)
    exchange(path, evaluated(synthetic, "observations", SIZES[1], 2000))
    with pytest.raises(StudyError, match="model is N46415, where N10000"):
        call(score, "--observations", path, "--output", tmp_path / "scores.parquet")
    with pytest.raises(StudyError, match="model is N46415, where N10000"):
        inputs = ("--metrics", synthetic / "metrics.parquet", "--observations", path)
        call(subsample, *inputs, "--output", tmp_path / "s.parquet")
    with pytest.raises(StudyError, match="model is N46415, where N10000"):
        values_per_query(path, "expected")


def test_a_run_of_another_checkpoint_is_not_measured_with_these_observations(synthetic, tmp_path):
    keys = tables.read("observations", evaluated(synthetic, "observations")).to_pylist()[0]
    keys = {**{name: keys[name] for name in schemas.EVALUATED_KEY}, "seed": 43}
    rows = {"split": "test", "query_id": ["q00000"], "doc_id": ["d"], "score": [1.0], "rank": [1]}
    tables.write("runs", {**keys, **rows}, tmp_path / "run.parquet")
    judged = {"split": "test", "query_id": ["q00000"], "doc_id": ["d"], "row": [0], "grade": [1], "positive": [True]}
    tables.write("qrels", judged, tmp_path / "qrels.parquet")
    inputs = ("--observations", evaluated(synthetic, "observations"), "--run", tmp_path / "run.parquet")
    with pytest.raises(StudyError, match=r"run\.parquet: seed is 43, where 42 is asked for"):
        call(score, *inputs, "--qrels", tmp_path / "qrels.parquet", "--output", tmp_path / "scores.parquet")


def test_a_snapshot_in_the_place_of_the_last_checkpoint_is_seen(synthetic, tmp_path):
    path = evaluated(synthetic, "observations", subset=2000)
    early = tables.read("observations", path)
    step = early.schema.get_field_index("step")
    early = early.set_column(step, early.schema.field(step), [np.full(len(early), 7)])
    path.unlink()
    tables.write("observations", early, path)
    with pytest.raises(StudyError, match="step is 7, where 400 is asked for"):
        inputs = ("--metrics", synthetic / "metrics.parquet", "--observations", path)
        call(subsample, *inputs, "--output", tmp_path / "s.parquet")
    with pytest.raises(StudyError, match="step is 7, where 400 is asked for"):
        fit_in(synthetic)


def test_a_table_is_not_written_under_another_name(tmp_path):
    row = checkpoint_of(1e4, 500, 42)
    path = tmp_path / "one/models/base/N10000/500/43/checkpoints.parquet"
    with pytest.raises(StudyError, match="seed is 42, where 43"):
        tables.write("checkpoints", {name: [value] for name, value in row.items()}, path)
    assert not path.exists()


def test_runs_of_another_study_are_not_gathered(synthetic, tmp_path):
    row = checkpoint_of(SIZES[0], 500, 42)
    path = tmp_path / f"other/models/base/{row['model']}/500/42/checkpoints.parquet"
    tables.write("checkpoints", {name: [value] for name, value in row.items()}, path)
    outputs = ("--output", tmp_path / "m.parquet", "--left-out", tmp_path / "l.parquet")
    with pytest.raises(StudyError, match="is of study other, where synthetic is asked for"):
        named = ("--study-name", "synthetic", "--collections", "synthetic", *texts_of(tmp_path, [row["model"]]))
        call(gather, "--runs", path, "--study", synthetic, *named, *outputs)


@pytest.fixture
def other(analysed, tmp_path):
    """The same study under the name other, as its own tables say."""
    folder = shutil.copytree(analysed, tmp_path / "other")
    metrics = tables.read("metrics", folder / "metrics.parquet")
    study = metrics.schema.get_field_index("study")
    metrics = metrics.set_column(study, metrics.schema.field(study), [["other"] * len(metrics)])
    tables.write("metrics", metrics, folder / "metrics.parquet")
    empty = schemas.SCHEMAS["left_out"].empty_table()
    tables.write("left_out", empty, folder / "left_out.parquet", study="other")
    fit_in(folder)
    return folder


def test_tables_of_another_study_are_not_reported(synthetic, other, tmp_path):
    for name in ("verdicts", "left_out", "forecasts"):
        shutil.copy(other / f"{name}.parquet", synthetic / f"{name}.parquet")
    message = r"parquet: study is other, where synthetic is asked for"
    for reader in (lambda: read_study(synthetic), lambda: call(headline, synthetic)):
        with pytest.raises(StudyError, match=message):
            reader()
    named = {name: ("--" + name, synthetic / f"{name}.parquet") for name in (*study_fit.OUTPUTS, "metrics")}
    left_out = ("--left-out", synthetic / "left_out.parquet")
    kinds = ("metrics", "fits", "forecasts", "curves", "influence", "verdicts")
    drawn = [word for name in kinds for word in named[name]]
    with pytest.raises(StudyError, match=message):
        subsamples = ("--subsamples", synthetic / "fits.parquet")
        call(plot, *drawn, *subsamples, *left_out, "--output", tmp_path)
    with pytest.raises(StudyError, match=message):
        outputs = ("--plan", tmp_path / "p.parquet", "--grid", tmp_path / "g.parquet")
        options = ("--study", synthetic, "--budget", 1, "--prices", json.dumps({"device_hour": 1}))
        call(plan, *named["metrics"], *named["forecasts"], *options, *outputs)


def test_nor_is_a_whole_set_of_another_study_where_one_is_named(other, tmp_path):
    message = r"metrics\.parquet: study is other, where synthetic is asked for"
    with pytest.raises(StudyError, match=message):
        fit_in(other, "--study-name", "synthetic")
    named = [word for name in summarize.TABLES[:-1] for word in (f"--{name}", other / f"{name}.parquet")]
    outputs = ("--tables", tmp_path, "--summary", tmp_path / "s.md", "--provenance", tmp_path / "p.json")
    with pytest.raises(StudyError, match=message):
        options = ("--config", json.dumps({"study": "synthetic"}), "--manifest", tmp_path / "manifest.json")
        call(summarize, *named, "--left-out", other / "left_out.parquet", *options, *outputs)
    with pytest.raises(StudyError, match="is of study synthetic, where other is asked for"):
        path = evaluated(other, "observations")
        options = ("--metrics", other / "metrics.parquet", "--study-name", "other", "--output", tmp_path / "s.parquet")
        elsewhere = tmp_path / "synthetic" / path.relative_to(other)
        call(subsample, *options, "--observations", elsewhere)
