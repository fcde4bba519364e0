"""Every loss, source of negatives and weight as a whole run: parts, processes, kills and repetition change nothing."""

import json

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.models.checkpoints import load_checkpoint
from rankscale.stages import teach
from rankscale.storage import tables
from rankscale.training.objectives.registry import OBJECTIVES
from tests.conftest import ROOT, run
from tests.unit.training.small_collection import N, command, log_of, trainer, write_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = write_collection(tmp_path_factory.mktemp("collection"), grades=(3, 1, 2))
    paths = ("--mined", folder / "lsa/negatives.parquet", "--documents", folder / "lsa/documents.parquet")
    outputs = ("--manifest", folder / "lsa/teacher.json", "--output", folder / "lsa/teacher.parquet")
    arguments = ("--collection", folder, *paths, "--queries", folder / "lsa/queries.parquet", *outputs)
    teach.main(teach.arguments().parse_args(list(map(str, arguments))))
    return folder


def recipe(collection, name):
    """The options of a run with a loss: negatives that it can take, and a teacher."""
    needs = OBJECTIVES[name].needs
    negatives = "mined+in_batch" if "own_negatives" not in needs else "mined"
    teacher = ("--teacher-scores", collection / "lsa/teacher.parquet") if "teacher" in needs else ()
    return ("--objective", name, "--negatives", negatives, "--negatives-per-query", 3, *teacher)


RECIPES = {
    **{name: () for name in OBJECTIVES},
    "own mw": ("--objective", "mw", "--negatives", "mined", "--learned-temperature", "--loss-reweighting", 0.5),
    "annealed": ("--negatives", "annealed", "--negatives-per-query", 2),
    "mixed": ("--negatives", "mixed+in_batch", "--negatives-per-query", 3, "--learned-temperature"),
    "mixed rankings": ("--negatives", "mixed", "--negatives-per-query", 3, "--objective", "pg_rank"),
    "weighted": ("--negatives", "mined", "--curriculum", '{"heuristic": "kde", "epochs": 4, "anti": false}'),
    "filtered": ("--steps", 6, "--consistency-filter", 3, "--propensity", '{"floor": 0.1, "power": 1}'),
}  # fmt: skip


def options(collection, name):
    more = RECIPES[name] or recipe(collection, name)
    return (*more, "--miner-scores", collection / "lsa/teacher.parquet", "--clip", 1)


def finished(collection, output, *more):
    whole = trainer(collection, output, *more)
    whole.train(Stop())
    whole.publish()
    return {file.name: file.read_bytes() for file in (output / "run").iterdir() if file.name != "times.parquet"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_in_parts_again_and_after_a_kill(collection, tmp_path, name):
    more = options(collection, name)
    expected = finished(collection, tmp_path / "whole", *more)
    steps = len(log_of(tmp_path / "whole"))
    assert steps >= 6
    assert np.isfinite(log_of(tmp_path / "whole")).all()
    finished(collection, tmp_path / "parts", *more, "--micro-batch", 3)
    for column in ("loss", "inverse_temperature"):
        assert log_of(tmp_path / "parts", column) == pytest.approx(
            log_of(tmp_path / "whole", column), abs=5e-6, rel=2e-6
        )
    killed = trainer(collection, tmp_path / "killed", *more)
    batches = killed.run.loader.iterate_from(0, killed.run.steps)
    for step in range(1, 4):
        batch = next(batches)
        lengths = batch.lengths
        flops = killed.run.learner.model.training_flops(lengths)
        killed.run.record.begin(step / killed.run.loader.per_epoch, 1e-2, int(lengths.sum()), flops)
        killed.run.record.end(*killed.run.learner.step(batch, 1e-2), killed.run.device)
    killed.save()
    assert finished(collection, tmp_path / "killed", *more) == expected


def test_a_loss_learns(collection, tmp_path):
    for name in ("ranknet", "bce", "margin_mse", "kl", "mw"):
        finished(collection, tmp_path / name, *options(collection, name), "--epochs", 30)
        losses = log_of(tmp_path / name)
        assert losses[-20:].mean() < 0.97 * losses[:20].mean(), name


@pytest.mark.parametrize("name", ["own mw", "star"])
def test_several_processes_change_nothing_but_rounding(collection, tmp_path, name):
    more = options(collection, name)
    finished(collection, tmp_path / "whole", *more)
    two = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "rankscale", "train"]
    run([*two, *command(collection, tmp_path / "two", *more, "--micro-batch", 3)], ROOT)
    for column in ("loss", "inverse_temperature"):
        assert log_of(tmp_path / "two", column) == pytest.approx(log_of(tmp_path / "whole", column), abs=5e-6, rel=2e-6)


def test_a_learned_temperature_moves_within_its_bounds_and_is_what_the_checkpoint_says(collection, tmp_path):
    more = ("--learned-temperature", "--inverse-temperature", 20, "--learning-rate", 0.1, "--negatives", "mined")
    finished(collection, tmp_path, *more, "--epochs", 4)
    logged = log_of(tmp_path, "inverse_temperature")
    assert logged[0] == pytest.approx(20)
    assert len(set(logged)) == len(logged)
    assert ((logged >= 1) & (logged <= 100 + 1e-4)).all()
    _, facts = load_checkpoint(tmp_path / "run/final.safetensors")
    assert facts["inverse_temperature"] not in logged.tolist()  # that of after the last step
    assert abs(np.log(facts["inverse_temperature"] / logged[-1])) < 0.2


def test_a_fixed_temperature_is_logged_as_it_is(collection, tmp_path):
    finished(collection, tmp_path, "--inverse-temperature", 7)
    assert set(log_of(tmp_path, "inverse_temperature")) == {7.0}
    assert load_checkpoint(tmp_path / "run/final.safetensors")[1]["inverse_temperature"] == 7.0


def test_a_teacher_with_other_scores_is_another_recipe(collection, tmp_path):
    table = tables.read("teacher", collection / "lsa/teacher.parquet").to_pydict()
    table["scores"][0][0] += 1.0
    tables.write("teacher", table, tmp_path / "other.parquet")
    prints = []
    for path in (collection / "lsa/teacher.parquet", tmp_path / "other.parquet"):
        more = ("--objective", "kl", "--teacher-scores", path)
        prints.append(trainer(collection, tmp_path / "run", *more).run.states.folder)
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--objective", "kl"), r"training\.teacher: kl needs one, and no table"),
        (("--curriculum", '{"heuristic": "kde"}'), r"training\.curriculum: needs the miner's"),
        (("--consistency-filter", 3), r"training\.consistency_filter: needs the miner's scores"),
        (("--objective", "star"), r"training\.negatives: star needs the passages of the whole batch"),
        (("--negatives", "mixed"), r"training\.negatives_per_query: mixed negatives are made of two"),
    ],
)  # fmt: skip
def test_what_a_recipe_lacks_is_named_before_anything_is_trained(collection, tmp_path, more, message):
    with pytest.raises(StudyError, match=message):
        trainer(collection, tmp_path, *more)


def test_labels_that_are_all_alike_are_refused_where_grades_are_needed(tmp_path):
    binary = write_collection(tmp_path / "binary")
    with pytest.raises(StudyError, match=r"training\.objective: wasserstein needs graded judgments; .* all alike"):
        trainer(binary, tmp_path, "--objective", "wasserstein")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [column.pop(3) for column in t.values()], "no scores for training query q3"),
        (lambda t: t["scores"][5].__setitem__(0, float("nan")), "a score of query q5 is not a finite number"),
        (lambda t: t["rows"][5].__setitem__(0, 10**6), "names rows that the 80 documents do not have"),
        (lambda t: (t["rows"][7].pop(0), t["scores"][7].pop(0)), "no score for a positive of training query q7"),
        (lambda t: (t["rows"].__setitem__(9, [9]), t["scores"].__setitem__(9, [1.0])),
         "it scored 0 of the mined negatives of training query q9"),
    ],
)  # fmt: skip
def test_a_teacher_that_lacks_something_is_refused(collection, tmp_path, change, message):
    table = tables.read("teacher", collection / "lsa/teacher.parquet").to_pydict()
    change(table)
    tables.write("teacher", table, tmp_path / "teacher.parquet")
    with pytest.raises(StudyError, match=message):
        trainer(collection, tmp_path, "--objective", "kl", "--teacher-scores", tmp_path / "teacher.parquet")


def test_a_teacher_that_scored_some_of_the_lists_gives_those(collection, tmp_path):
    table = tables.read("teacher", collection / "lsa/teacher.parquet").to_pydict()
    for rows, scores in zip(table["rows"], table["scores"], strict=True):
        del rows[4:], scores[4:]  # the positives, one or two, and the first of the list
    tables.write("teacher", table, tmp_path / "teacher.parquet")
    more = ("--objective", "kl", "--teacher-scores", tmp_path / "teacher.parquet")
    data = trainer(collection, tmp_path, *more).run.sampler.data
    assert data.mined.shape == (N, 2)
    assert json.dumps(sorted(set(map(len, data.positives)))) == "[1, 2]"
