"""A finished run's queries trained further on what they find: its passages stay, its bytes do not depend on luck."""

import shutil

import numpy as np
import pytest
import torch

from rankscale.core.errors import StudyError
from rankscale.core.interrupts import Stop
from rankscale.core.options import parsed
from rankscale.models import encoding
from rankscale.models.checkpoints import load_checkpoint
from rankscale.models.kinds.dual_encoder import DualEncoder
from rankscale.stages import refine, teach
from rankscale.storage import tables
from rankscale.text.token_store import TokenStore
from rankscale.training.distributed import ProcessGroup
from rankscale.training.objectives.registry import OBJECTIVES
from rankscale.training.refining.options import RefineOptions
from rankscale.training.refining.setup import set_up
from rankscale.training.trainer import Trainer
from tests.conftest import ROOT, run, write_copies
from tests.unit.training.small_collection import DOCUMENTS, N, log_of, trainer, write_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = write_collection(tmp_path_factory.mktemp("collection"), grades=(3, 1, 2))
    write_copies(folder, copies=[(79, 3)], own=[("q5", 60)])  # document 79 repeats what answers q3; q5 is document 60
    paths = ("--mined", folder / "lsa/negatives.parquet", "--documents", folder / "lsa/documents.parquet")
    outputs = ("--manifest", folder / "lsa/teacher.json", "--output", folder / "lsa/teacher.parquet")
    arguments = ("--collection", folder, *paths, "--queries", folder / "lsa/queries.parquet", *outputs)
    teach.main(teach.arguments().parse_args(list(map(str, arguments))))
    return folder


@pytest.fixture(scope="module")
def start(collection, tmp_path_factory):
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("start")
    finish(trainer(collection, output))
    return output / "run"


def finish(whole):
    whole.train(Stop())
    whole.publish()


def command(collection, start, output, *more):
    paths = ("--collection", collection, "--tokens", collection / "tokens", "--start", start)
    sizes = ("--batch-size", 8, "--epochs", 2, "--learning-rate", 1e-2, "--query-length", 8, "--passage-length", 10)
    model = ("--model", "m", "--output-dim", 4, "--negatives-per-query", 5)
    folders = ("--scratch", output / "scratch", "--output", output / "run", "--device", "cpu")
    return list(map(str, (*paths, *model, *sizes, *folders, *more)))


def refiner(collection, start, output, *more):
    options = parsed(RefineOptions, refine.arguments().parse_args(command(collection, start, output, *more)))
    return Trainer(set_up(options, ProcessGroup()))


def published(output):
    return {file.name: file.read_bytes() for file in (output / "run").iterdir() if file.name != "times.parquet"}


def refined(collection, start, output, *more):
    finish(refiner(collection, start, output, *more))
    return published(output)


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def recipe(collection, name):
    if name == "weighted":
        more = ("--propensity", '{"floor": 0.1, "power": 1}', "--loss-reweighting", 0.5, "--learned-temperature")
        more += ("--curriculum", '{"heuristic": "kde", "epochs": 4, "anti": false}', "--consistency-filter", 5)
        return (*more, "--mined", collection / "lsa/negatives.parquet",
                "--miner-scores", collection / "lsa/teacher.parquet", "--steps", 6)  # fmt: skip
    return ("--objective", name, "--clip", 1)


FITTING = [name for name, loss in OBJECTIVES.items() if not {"teacher", "in_batch"} & loss.needs]


@pytest.mark.parametrize("name", [*FITTING, "weighted"])
def test_a_recipe_in_parts_again_and_after_a_kill(collection, start, tmp_path, name):
    more = recipe(collection, name)
    expected = refined(collection, start, tmp_path / "whole", *more)
    losses = log_of(tmp_path / "whole")
    assert len(losses) >= 6
    assert np.isfinite(losses).all()
    refined(collection, start, tmp_path / "parts", *more, "--micro-batch", 3)
    assert log_of(tmp_path / "parts") == pytest.approx(losses, abs=5e-6, rel=2e-6)
    killed = refiner(collection, start, tmp_path / "killed", *more)
    for step, batch in enumerate(killed.run.loader.iterate_from(0, 3), 1):
        killed.run.record.begin(
            step / killed.run.loader.per_epoch, 1e-2, int(batch.lengths.sum()), killed.run.learner.flops(batch)
        )
        killed.run.record.end(*killed.run.learner.step(batch, 1e-2), killed.run.device)
    killed.save()
    assert refined(collection, start, tmp_path / "killed", *more) == expected


def test_passages_stay_queries_move_and_both_are_in_the_checkpoint(collection, start, tmp_path):
    before, _ = load_checkpoint(start / "final.safetensors")
    refined(collection, start, tmp_path, "--snapshots", 3)
    documents, queries = (TokenStore.read(collection / "tokens", *text) for text in (("documents", 10), ("queries", 8)))

    def vectors(side, texts):
        return encoding.encode(side, texts, np.arange(len(texts)), torch.device("cpu"), "encode")

    for name in ("3", "final"):
        after, facts = load_checkpoint(tmp_path / f"run/{name}.safetensors")
        assert type(after) is DualEncoder
        assert facts["status"] == "finished"
        assert np.array_equal(vectors(after.passage_side, documents), vectors(before, documents))
        assert not np.allclose(vectors(after.query_side, queries), vectors(before, queries), atol=1e-3)
        assert all(torch.equal(v, before.state_dict()[k]) for k, v in after.passage_side.state_dict().items())
    assert after.parameters_by_part == before.parameters_by_part


def test_each_step_is_one_on_what_a_plain_search_finds(collection, start, tmp_path):
    """The losses of all steps, retold: encode, sort all scores, take the nearest, InfoNCE, AdamW."""
    refined(collection, start, tmp_path / "ours")
    plain = refiner(collection, start, tmp_path / "plain")
    loader, data = plain.run.loader, plain.run.sampler.data
    model, _ = load_checkpoint(start / "final.safetensors")
    tokens = TokenStore.read(collection / "tokens", "documents", 10)
    passages = torch.from_numpy(encoding.encode(model, tokens, np.arange(DOCUMENTS), torch.device("cpu"), "encode"))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2, weight_decay=0.0)
    judged = {i: {i, 40 + i} if i % 2 == 0 else {i} for i in range(N)}
    judged[3] |= {79}
    judged[5] |= {60}
    losses = []
    for batch in loader.iterate_from(0, plain.run.steps):
        queries = model(batch.parts[0])
        rows = []
        for query, example, positive in zip(queries, batch.wanted.examples, batch.wanted.positives, strict=True):
            order = np.argsort(-(passages @ query.detach()).numpy(), kind="stable")
            own = judged[int(data.queries[example])]
            rows.append([int(positive), *[row for row in order if row not in own][:5]])
        scores = (queries[:, None] * passages[torch.tensor(rows)]).sum(2)
        loss = -scores.log_softmax(1)[:, 0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert log_of(tmp_path / "ours") == pytest.approx(losses, rel=1e-5)


def test_it_learns_to_leave_behind_what_it_finds(collection, start, tmp_path):
    refined(collection, start, tmp_path, "--epochs", 40, "--objective", "lambdarank", "--negatives-per-query", 70)
    documents, queries = (TokenStore.read(collection / "tokens", *text) for text in (("documents", 10), ("queries", 8)))
    ranks = []
    for folder in (start, tmp_path / "run"):
        model, _ = load_checkpoint(folder / "final.safetensors")
        sides = (model.query_side, queries), (model.passage_side, documents)
        q, p = (encoding.encode(side, t, np.arange(len(t)), torch.device("cpu"), "encode") for side, t in sides)
        scores = q @ p.T
        ranks.append(1 + (scores > np.diag(scores)[:, None]).sum(1))  # document i answers query i
    assert (1 / ranks[1]).mean() > 1.3 * (1 / ranks[0]).mean()


def test_it_counts_what_came_before(collection, start, tmp_path):
    refined(collection, start, tmp_path)
    (before,), (after,) = (
        tables.read("checkpoints", folder / "checkpoints.parquet").to_pylist() for folder in (start, tmp_path / "run")
    )
    texts = [TokenStore.read(collection / "tokens", *text) for text in (("documents", 10), ("queries", 8))]
    model, _ = load_checkpoint(start / "final.safetensors")
    passages, queries = (text.lengths for text in texts)  # two passes over all 32 queries
    own = model.training_flops(passages) / 3 + 2 * model.training_flops(queries) + 2 * 2 * N * DOCUMENTS * 4
    assert after["train_flops"] == pytest.approx(before["train_flops"] + own, rel=1e-9)
    assert after["train_tokens"] == before["train_tokens"] + 2 * queries.sum()
    assert (after["step"], after["encoder_parameters"]) == (8, before["encoder_parameters"])
    first, second = (
        tables.read("training_times", folder / "times.parquet").to_pydict() for folder in (start, tmp_path / "run")
    )
    assert second["step"] == list(range(9))
    assert second["seconds"][0] > sum(first["seconds"])


def test_several_processes_change_nothing_but_rounding(collection, start, tmp_path):
    more = ("--objective", "mw", "--learned-temperature")
    refined(collection, start, tmp_path / "whole", *more)
    two = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "--", "rankscale", "refine"]
    run([*two, *command(collection, start, tmp_path / "two", *more, "--micro-batch", 3)], ROOT)
    for column in ("loss", "inverse_temperature"):
        assert log_of(tmp_path / "two", column) == pytest.approx(log_of(tmp_path / "whole", column), abs=5e-6, rel=2e-6)


def test_another_start_is_another_state(collection, start, tmp_path):
    finish(trainer(collection, tmp_path / "other", "--learning-rate", 2e-2))
    folders = [refiner(collection, s, tmp_path / "run").run.states.folder for s in (start, tmp_path / "other/run")]
    assert folders[0] != folders[1]


def test_a_trained_temperature_goes_on(collection, tmp_path):
    more = ("--learned-temperature", "--inverse-temperature", 20)
    finish(trainer(collection, tmp_path / "start", *more, "--learning-rate", 0.1))
    _, facts = load_checkpoint(tmp_path / "start/run/final.safetensors")
    refined(collection, tmp_path / "start/run", tmp_path / "on", *more)
    assert log_of(tmp_path / "on", "inverse_temperature")[0] == pytest.approx(facts["inverse_temperature"], rel=1e-6)


def test_a_run_that_diverged_is_handed_on_as_such(collection, tmp_path):
    finish(trainer(collection, tmp_path / "start", "--learning-rate", 1e30))
    refined(collection, tmp_path / "start/run", tmp_path / "on", "--snapshots", 3)
    (row,) = tables.read("checkpoints", tmp_path / "on/run/checkpoints.parquet").to_pylist()
    assert (row["checkpoint"], row["step"], row["status"]) == ("final", 0, "diverged")
    assert load_checkpoint(tmp_path / "on/run/3.safetensors")[1]["status"] == "diverged"
    assert len(log_of(tmp_path / "on")) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--objective", "kl"), r"training\.objective: kl needs a teacher's scores, and what is found"),
        (("--objective", "star"), r"training\.negatives: star needs the passages of the whole batch"),
        (("--negatives-per-query", 79), r"79 asked for, but a query's positives leave 78 of 80 documents"),
        (("--curriculum", '{"heuristic": "kde"}'), r"--mined: .*no table of them was given"),
        (("--output-dim", 8), r"final\.safetensors: has output_dim 4, this run 8; its passages stay"),
        (("--passage-length", 9), r"has passage_length 10, this run 9"),
        (("--seed", 7), r"has seed 42, this run 7"),
        (("--snapshots", 8), r"training\.snapshots\.steps: step 8 is not before the end"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_before_anything_is_trained(collection, start, tmp_path, more, message):
    with pytest.raises(StudyError, match=message):
        refiner(collection, start, tmp_path, *more)
    assert not list((tmp_path / "run").glob("*"))


def test_one_that_went_on_already_is_no_start(collection, start, tmp_path):
    refined(collection, start, tmp_path / "first")
    with pytest.raises(StudyError, match=r"is a dual_encoder; dynamic negatives go on from a bi_encoder"):
        refiner(collection, tmp_path / "first/run", tmp_path / "second")


def test_a_start_that_is_not_there_is_named(collection, start, tmp_path):
    shutil.copytree(start, tmp_path / "start")
    (tmp_path / "start/checkpoints.parquet").unlink()
    with pytest.raises(StudyError, match=r"start/checkpoints\.parquet"):
        refiner(collection, tmp_path / "start", tmp_path / "on")
