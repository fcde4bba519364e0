"""A small study that is trained on one collection and evaluated on two more, as it really runs."""

import json
import re

import pytest
import yaml

from rankscale.storage import tables
from tests.conftest import SMALL, clone, run
from tests.workflow.test_reruns import jobs

STUDY = yaml.safe_load(SMALL)
STUDY["study"], STUDY["plan"] = "wide", None
STUDY["collection"] = {"name": "home", "source": "beir", "path": "data/home"}
STUDY["tokenizer"]["vocabulary"] = 300
STUDY["miner"]["top_k"] = 20
STUDY["models"] = STUDY["models"][:2]
STUDY["training"] |= {"train_queries": [128, 256], "snapshots": {"models": ["L1H16"], "steps": [3]}}
STUDY["evaluation"] = {
    "candidates": {"hard": 16},
    "slices": True,
    "full_retrieval": {"top_k": 100, "runs": "largest"},
    "references": {
        "bm25": {"k1": 0.9, "b": 0.4},
        "miner": True,
        "untrained": True,
        "random": True,
        "runs": [{"name": "mine", "path": "data/mine.run", "collection": "mine"}],
    },
}
STUDY["laws"]["metrics"] = ["rank_entropy", "cross_entropy", "1-mrr"]
MINE = {"name": "mine", "source": "beir", "path": "data/mine", "splits": {"test": ["dev", "test"]}}
DRAWN = {"name": "drawn", "source": "beir", "path": "data/mine", "candidates": {"random": 8}, "full_retrieval": False}


def study_of(*further):
    evaluation = STUDY["evaluation"] | {"collections": list(further)}
    return yaml.safe_dump(STUDY | {"evaluation": evaluation}, sort_keys=False)


def write_beir(folder, starts, splits, documents):
    """A collection of its own words, in BEIR's form: document n and its query share three words.

    `splits` says which queries, by their documents' numbers, each has.
    """
    (folder / "qrels").mkdir(parents=True)
    words = [f"{first}{last}" for first in starts for last in ("a", "en", "il", "o", "us")]
    texts = [f"{words[n % 20]} {words[n // 20 % 20]} {words[n * 7 % 20]}" for n in range(documents)]
    queries = max(chosen.stop for chosen in splits.values())
    lines = [json.dumps({"_id": f"d{n}", "text": f"{text} number {n} of all"}) for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    lines = [json.dumps({"_id": f"q{n}", "text": f"which is {texts[n]} {n}"}) for n in range(queries)]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    for split, chosen in splits.items():
        rows = "".join(f"q{n}\td{n}\t1\n" for n in chosen)
        (folder / f"qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)


def write_data(folder):
    """The study's own collection, and another of other words."""
    write_beir(folder / "home", ("pat", "dov", "rik", "sum"), {"train": range(300), "test": range(300, 360)}, 400)
    write_beir(folder / "mine", ("bar", "lin", "mor", "tes"), {"test": range(30), "dev": range(30, 60)}, 240)
    # Of the test queries of the other one, every second has its document first, the others not at all.
    lines = [f"q{n} Q0 d{n if n % 2 else n + 1} 1 2.5 mine" for n in range(30)]
    (folder / "mine.run").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the study ran."""
    folder = clone(tmp_path_factory.mktemp("collections"), study_of(MINE, DRAWN))
    write_data(folder / "data")
    run("snakemake --cores 2", folder)
    return folder


def test_every_checkpoint_is_evaluated_on_every_collection(finished):
    metrics = tables.read("metrics", finished / "results/wide/metrics.parquet").to_pandas()
    sets = metrics.groupby(["collection", "split", "candidates"]).agg(
        checkpoints=("step", "size"), queries=("n_queries", "first"), retrieved=("ndcg_10", "count")
    )
    # Four runs and a snapshot of one on the largest subset, where alone the collection is searched.
    assert sets.to_dict("index") == {
        ("home", "test", "hard"): {"checkpoints": 5, "queries": 60, "retrieved": 3},
        ("mine", "dev", "hard"): {"checkpoints": 5, "queries": 30, "retrieved": 3},
        ("mine", "test", "hard"): {"checkpoints": 5, "queries": 30, "retrieved": 3},
        ("drawn", "test", "random"): {"checkpoints": 5, "queries": 30, "retrieved": 0},
    }
    assert metrics.collection.iloc[0] == "home"


def test_laws_and_verdicts_are_each_collection_s_own(finished):
    study = finished / "results/wide"
    for name in ("fits", "verdicts", "contrasts"):
        rows = tables.read(name, study / f"{name}.parquet").to_pandas()
        assert set(rows.collection) == {"home", "mine", "drawn"}, name
    text = (study / "summary.md").read_text()
    assert text.startswith("# Study wide: home")
    assert "Evaluated too: mine (dev), mine (test), drawn (test)" in text
    assert "| mine (dev), hard " in text.partition("## On other test sets")[2]


def test_texts_are_read_by_the_vocabulary_that_models_were_trained_with(finished):
    shared = finished / "results/shared"
    own, other = (
        json.loads((shared / place / "manifest.json").read_text())
        for place in ("home/tokens/wordpiece", "mine/tokens/home--wordpiece")
    )
    assert own["tokenizer"] == other["tokenizer"]
    assert other["settings"]["collection"] == "home"
    assert not (shared / "mine/tokens/wordpiece").exists()


def test_references_stand_beside_the_models_on_every_collection(finished):
    study = finished / "results/wide"
    references = tables.read("references", study / "references.parquet").to_pandas()
    rows = references.set_index(["collection", "split", "reference"])
    built_in = ["bm25", "miner", "random", "untrained"]
    assert sorted(rows.loc[("home", "test")].index) == built_in
    assert sorted(rows.loc[("mine", "test")].index) == sorted([*built_in, "mine"])
    # Queries share words with their documents.
    assert rows.mrr[("home", "test", "bm25")] > 0.9
    assert rows.mrr[("home", "test", "random")] < 0.5
    assert "k1 0.9, b 0.4" in rows.about[("mine", "test", "bm25")]
    assert rows.mrr_10[("mine", "test", "mine")] == 0.5
    assert rows.loc["drawn"].ndcg_10.isna().all()
    text = (study / "summary.md").read_text()
    assert "| BM25 " in text
    assert "- untrained (L1H16 before its first step, seed 42): MRR 0." in text
    assert ">BM25" in (study / "figures/model_scale.svg").read_text()


def test_slices_are_of_every_finished_run_on_every_collection(finished):
    study = finished / "results/wide"
    slices = tables.read("slices", study / "slices.parquet").to_pandas()
    metrics = tables.read("metrics", study / "metrics.parquet").to_pandas()
    finals = metrics[metrics.checkpoint == "final"]
    key = ["collection", "model", "train_queries", "split", "candidates"]
    every = slices[slices.slicing == "all"].set_index(key).sort_index()
    expected = finals.set_index(key).sort_index()
    assert every.index.equals(expected.index)
    for metric in ("rank_entropy", "mrr", "auc"):
        assert every[metric].to_numpy() == pytest.approx(expected[metric].to_numpy()), metric
    assert "novelty" in set(slices.slicing)
    assert "## Slices of the queries" in (study / "summary.md").read_text()


def test_the_report_says_how_laws_differ_on_other_test_sets(finished):
    study = finished / "results/wide"
    transfers = tables.read("transfers", study / "transfers.parquet").to_pandas()
    # Against hard candidates alone: those are what the first test set has.
    assert set(zip(transfers.collection, transfers.split, strict=True)) == {("mine", "dev"), ("mine", "test")}
    assert set(transfers.home_collection) == {"home"}
    text = (study / "summary.md").read_text().partition("## On other test sets")[2]
    assert "- On mine (test)" in text
    assert "nan" not in text.partition("## Which metric")[0].lower()


def test_what_was_made_and_where_is_recorded(finished):
    record = json.loads((finished / "results/wide/provenance.json").read_text())
    assert set(record["further_collections"]) == {"mine", "drawn"}
    assert record["further_collections"]["mine"]["queries"] == {"dev": 30, "test": 30}


def test_an_extra_collection_costs_its_own_evaluation_and_no_training(finished):
    assert jobs(finished) == {}
    again = {**MINE, "name": "again"}
    (finished / "config.yaml").write_text(study_of(MINE, DRAWN, again))
    own = {"collect": 1, "tokenize": 1, "encode": 1, "mine": 1, "sample": 1, "refer": 4}
    searched = {"retrieve": 3, "retrieve_without_run": 2, "score": 3, "score_without_run": 2}
    together = {"gather": 1, "subsample": 1, "slice": 1, "fit": 1, "plot": 1, "summarize": 1, "page": 1, "all": 1}
    assert jobs(finished) == {**own, **searched, **together}
    # Random candidates and no run ask for no mining; as a reference the miner is asked for all the same.
    (finished / "config.yaml").write_text(study_of(MINE, DRAWN, {**DRAWN, "name": "more"}))
    own = {"collect": 1, "tokenize": 1, "sample": 1, "encode": 1, "refer": 4}
    assert jobs(finished) == {**own, "retrieve_candidates": 5, "score_candidates": 5, **together}
    other = study_of(MINE).replace("study: wide", "study: other")
    (finished / "other.yaml").write_text(other)
    planned = jobs(finished, "--configfile other.yaml")
    assert not {"collect", "tokenize", "encode", "mine"} & set(planned)
    # One fewer: what is left is gathered and fitted anew.
    (finished / "config.yaml").write_text(study_of(MINE))
    assert set(jobs(finished)) <= {*together}


def test_quote_counts_them(finished):
    (finished / "config.yaml").write_text(study_of(MINE, DRAWN))
    said = run("rankscale quote", finished).stdout
    assert "further collections" in said
    line = next(line for line in said.splitlines() if line.startswith("retrieve"))
    assert line.split()[1:3] == ["15", "0"]
    assert re.search(r"^collect +3 ", said, re.MULTILINE)


def test_a_collection_that_clashes_is_refused_by_its_name(finished):
    for further, words in (
        ({**MINE, "name": "home"}, "home would be that of the study's own and of number 1"),
        ({**MINE, "path": "data/gone"}, "evaluation.collections: mine: collection.path: data/gone: there is no"),
        ({**MINE, "splits": {"test": ["none"]}}, "evaluation.collections: mine: collection.splits: the collection"),
        ({**MINE, "candidates": {"hard": 99}}, "mine: candidates.hard: 99 is more than the 20 negatives"),
        ({**MINE, "titles": "drop"}, "mine: study wide made it with titles=join"),
    ):
        (finished / "bad.yaml").write_text(study_of(further).replace("study: wide", "study: bad"))
        assert words in run("snakemake -n --cores 1 --configfile bad.yaml", finished, check=False).stdout, further
