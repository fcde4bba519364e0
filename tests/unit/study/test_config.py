"""The config: what it refuses and how it says so; what it means for each run."""

import copy
import json
import os
import re

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout, RunId
from rankscale.study import config, config_file, environment, grid, sharing
from rankscale.study.test_sets.collections import further as further_collections
from tests.conftest import ROOT

AS_IT_IS = yaml.safe_load((ROOT / "config.yaml").read_text())
# Changes of the grid stand alone without the blocks of cells.
EMBEDDED = AS_IT_IS | {"training": AS_IT_IS["training"] | {"cells": None}}


def changed(path, value):
    config = copy.deepcopy(EMBEDDED)
    *way, last = path.split(".")
    at = config
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(last) if isinstance(at, list) else last] = value
    return config


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *sorted((ROOT / "workflow/studies").glob("*.yaml"))])
def test_every_study_file_is_accepted(path):
    config.check_config(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("name", ["objectives", "msmarco-objectives"])
def test_studies_of_ways_to_train_hold_out_a_size_and_a_subset_and_leave_enough(name):
    study = config.check_config(yaml.safe_load((ROOT / f"workflow/studies/{name}.yaml").read_text()))
    assert len(study["variants"]) >= 10
    assert study["laws"]["hold_out"] == {"models": 1, "train_queries": 1}
    models, subsets, seeds = (
        len(part) for part in (study["models"], study["training"]["train_queries"], study["training"]["seeds"])
    )
    assert (models, subsets, seeds) >= (4, 3, 2)
    assert len(list(grid.runs(study))) == len(study["variants"]) * models * subsets * seeds
    # What config.yaml, or the published study, has made serves this one too.
    other = ROOT / ("config.yaml" if name == "objectives" else "workflow/studies/msmarco.yaml")
    other = config.check_config(yaml.safe_load(other.read_text()))
    others, own = (sharing.shared_settings(one, Layout.of(one)) for one in (other, study))
    assert {path: own[path] for path in others} == others


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.learing_rate", 1, "training.learing_rate: unknown key; did you mean learning_rate?"),
        ("colection", {}, "colection: unknown key; did you mean collection?"),
        ("training.learning_rate", "3e-6", "text, not a number. YAML reads 3e-6 as text .write 3.0e-6"),
        ("training.learning_rate", 0, "training.learning_rate: 0 is not allowed"),
        ("training.learning_rate", float("inf"), "training.learning_rate: is not a finite number"),
        ("training.learning_rate", {"L1H16": 1e-3}, "is a model without a rate"),
        ("training.train_queries", [], "training.train_queries: .. is not allowed"),
        ("training.train_queries", 500, "training.train_queries: 500 is not allowed"),
        ("training.train_queries", [10], "10 is less than one batch of 32"),
        ("training.snapshots.steps", [1000], "training.snapshots.steps: 1000 is not before the end"),
        ("training.snapshots.models", ["L9"], "L9 is no model of the ladder"),
        ("training", None, "training: null is not allowed"),
        ("models", [], "models: .. is not allowed"),
        ("models.0.heads", 3, "L1H16: 3 heads do not divide hidden 16"),
        ("models.0.name", "L1H32", "the name L1H32 stands twice"),
        ("models.0.checkpoint", "bert", "models.0.*layers, hidden and heads, or a checkpoint"),
        ("models.0", {"name": "x", "checkpoint": "./nowhere"}, "x: checkpoint ./nowhere: there is no such folder"),
        ("evaluation.candidates.hard", 500, "500 is more than the 200 negatives that miner.top_k keeps"),
        ("evaluation.ties", False, "evaluation.ties: false is not allowed.*YAML reads on, off"),
        ("evaluation.full_retrieval", {"top_k": 5}, "evaluation.full_retrieval"),
        ("study", "shared", "study: shared is not allowed"),
        ("study", "a/b", "study: a/b is not allowed"),
        ("miner.name", "tokens", "miner.name: tokens"),
        ("miner.name", "documents.parquet", "miner.name: documents.parquet"),
        ("training.1", 2, "training.1: unknown key"),
        ("training.learning_rate", {1: 0.1}, "training.learning_rate.1: is no key"),
        ("miner.shards", 2, "miner.shards: lsa"),
        ("collection.splits.test", ["train"], "collection.splits: train is to be trained on and tested"),
        ("collection.source", "beir", "collection.path: null does not fit source beir"),
        ("training.snapshots.train_queries", 7, "training.snapshots.train_queries: 7 is none of"),
        ("collection.path", "x", "collection.path: x does not fit source docstrings; it takes null"),
        ("collection.source", "ir_datasets", "does not fit source ir_datasets; it takes the id of its documents"),
        ("collection.source", "msmarco-passage", "no split test; it has dev, dev_small, dl_2019, dl_2020, train"),
        ("collection.positive_grade", {"tset": 2}, "collection.positive_grade: the collection has no split tset"),
        ("collection.positive_grade", 0, "collection.positive_grade: 0 is not allowed"),
        ("miner.range_max", 100, "miner.range_max: ranks 1 to 100 hold fewer than top_k 200"),
        ("miner.relative_margin", -0.1, "miner.relative_margin"),
        ("miner.short", "drop", "miner.short: drop is not allowed"),
        ("evaluation.full_retrieval", {"top_k": 100, "pool": "judged+100"}, "evaluation.full_retrieval"),
        ("training.micro_batch", 64, "training.micro_batch: 64 is more than a batch of 32"),
        (
            "training.objective",
            {"name": "nonce"},
            "training.objective.name: there is no loss nonce; there are approx_mrr",
        ),
        ("training.objective", "infonce", "training.objective: infonce is not allowed"),
        ("training.precision", "fp8", "training.precision: fp8 is not allowed"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_it(path, value, message):
    with pytest.raises(StudyError, match=message) as error:
        config.check_config(changed(path, value))
    assert "\n" not in str(error.value)


def test_the_published_study_is_the_published_recipe():
    """25 sizes x 8 subsets, and the parameters that the paper's formula gives."""
    study_file = config.check_config(yaml.safe_load((ROOT / "workflow/studies/msmarco.yaml").read_text()))
    assert len(list(grid.runs(study_file))) == 200
    assert sum(len(steps) for steps in grid.snapshots(study_file).values()) == 27
    text = (ROOT / "workflow/studies/msmarco.yaml").read_text()
    for layers, hidden, parameters in re.findall(r"name: L(\d+)H(\d+),.*# +([\d,]+)", text):
        assert int(parameters.replace(",", "")) == int(layers) * (12 * int(hidden) ** 2 + 13 * int(hidden))
    sizes = [(f"L{layers}H{hidden}", layers, hidden) for layers in range(2, 13, 2) for hidden in (128, 256, 512, 768)]
    names = {name: f"google/bert_uncased_L-{layers}_H-{hidden}_A-{hidden // 64}" for name, layers, hidden in sizes}
    checkpoints = {model["name"]: model["checkpoint"] for model in study_file["models"]}
    assert checkpoints == {**names, "L24H1024": "google-bert/bert-large-uncased"}
    collection = study_file["collection"]
    assert (collection["source"], collection["splits"]["train"]) == ("msmarco-passage", "train")
    recipe = {
        "train_queries": [1000, 3000, 6000, 10000, 30000, 60000, 100000, None],
        "cells": None,
        "seeds": [42],
        "negatives": "mined",  # only the query's own in its softmax
        "negatives_per_query": 16,
        "annealing_start": 0.05,
        "annealing_end": 0.001,
        "consistency_filter": None,
        **dict.fromkeys(("teacher", "curriculum", "propensity", "loss_reweighting")),
        "objective": {"name": "infonce"},
        "batch_size": 32,
        "epochs": 3,
        "steps": None,
        "average": None,
        "learning_rate": 3e-6,
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0,
        "clip": None,
        "inverse_temperature": 1,
        "learned_temperature": False,
        "precision": "bf16",  # 16 bits
        "query_length": 24,
        "passage_length": 128,
        "output_dim": 1024,
        "keep": "all",
        "snapshots": {
            "models": ["L2H128", "L8H512", "L24H1024"],
            "train_queries": None,
            "steps": [1, 10, 50, 100, 500, 1000, 5000, 10000, 15716],
        },
        # Ours, without a say in the losses; and the subsets, which are seeded instead of the first so many.
        "subsets": "nested",
        "start_from": None,
        "divergence": 5,
        "micro_batch": None,
        "gradient_checkpointing": False,
    }
    assert study_file["training"] == recipe
    miner = {
        "encoder": "BAAI/bge-small-en-v1.5",
        "pooling": "cls",
        "normalize": True,
        "query_prefix": "Represent this sentence for searching relevant passages: ",
        "passage_prefix": "",
        "query_length": 64,
        "passage_length": 256,
        "top_k": 1000,
        "range_min": 0,
        "range_max": None,
        "absolute_margin": None,
        "relative_margin": None,
        "max_score": None,
    }
    assert {key: study_file["miner"][key] for key in miner} == miner
    assert study_file["evaluation"]["candidates"]["hard"] == 256
    # The last incomplete batch is dropped: 502,939 queries are 15,716 steps a pass, 47,148 in all.
    assert (502_939 // 32, 502_939 // 32 * 3) == (15_716, 47_148)


def test_a_missing_section_is_named():
    without = copy.deepcopy(EMBEDDED)
    del without["models"]
    with pytest.raises(StudyError, match="models: is missing"):
        config.check_config(without)


def test_what_is_left_out_takes_the_schema_s_default():
    study = config.check_config(
        {"study": "s", "models": EMBEDDED["models"], "training": {"train_queries": [64], "learning_rate": 1e-3}}
    )
    assert study["evaluation"]["candidates"] == {"hard": 64, "random": 64}
    assert study["training"]["negatives"] == "mined"
    assert study["collection"]["splits"] == {"train": "train", "test": ["test"]}


def test_every_option_is_described_and_stands_in_config_yaml():
    text = (ROOT / "config.yaml").read_text()

    def walk(rule, path):
        for key, sub in rule.get("properties", {}).items():
            assert "description" in sub or "$ref" in sub or "properties" in sub, f"{path}{key} is not described"
            if not path.startswith("models"):
                assert re.search(rf"\b{key}:", text), f"{path}{key} is not in config.yaml"
            walk(sub, f"{path}{key}.")

    walk(config.schema(), "")


def test_whole_numbers_written_as_floats_are_whole():
    study = config.check_config(
        changed("training", {**EMBEDDED["training"], "epochs": 2.0, "train_queries": [1.0e3, 8000]})
    )
    assert repr(study["training"]["train_queries"]) == "[1000, 8000]"
    assert repr(study["training"]["epochs"]) == "2"
    assert repr(study["training"]["clip"]) == "1.0"


def test_tokenizers_of_two_places_have_two_folders():
    names = {grid.tokenizer_of({}, {"checkpoint": source})[0] for source in ("./bert", "../bert", "/bert", "org/bert")}
    assert len(names) == 4


def test_runs_and_snapshots():
    study = config.check_config(AS_IT_IS)
    runs = list(grid.runs(study))
    # All eight sizes on the largest subset, the six others of one size, three sizes on two more: by each of two seeds.
    assert len(runs) == 2 * (8 + 6 + 3 * 2)
    assert str(runs[0]) == "base/L1H16/2300/1"
    steps = ["10", "30", "100", "300"]
    assert grid.snapshots(study) == {RunId("base", "L1H64", "8000", seed): steps for seed in (1, 2)}
    everything = changed("training.train_queries", [500, None])
    everything["training"] |= {"seeds": [42]}
    everything["training"]["snapshots"]["train_queries"] = "largest"
    assert [run.subset for run in grid.snapshots(config.check_config(everything))] == ["all"]
    everything["training"]["snapshots"] |= {"train_queries": "every", "steps": [1, 10]}
    looked_at = grid.snapshots(config.check_config(everything))
    assert [run.subset for run in looked_at] == list(map(grid.subset_name, everything["training"]["train_queries"]))


def test_another_study_s_settings_under_the_same_name_are_refused(tmp_path):
    mine = config.check_config(EMBEDDED)
    folder = tmp_path / "shared" / "docstrings"
    folder.mkdir(parents=True)
    layout = Layout.of(mine, str(tmp_path))
    settings = dict(sharing.shared_settings(mine, layout)[f"{folder}/manifest.json"])
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"study": "other", "settings": settings}))
    sharing.refuse_clashes(mine, layout)
    manifest.write_text(json.dumps({"study": "other", "settings": settings | {"test_queries": 9}}))
    with pytest.raises(StudyError, match="study other made it with test_queries=9, study demo wants test_queries=3000"):
        sharing.refuse_clashes(mine, layout)
    sharing.refuse_clashes({**mine, "remake": True}, layout)
    for harm in ("{", "[]", "null", '{"study": "a", "settings": null}'):
        manifest.write_text(harm)
        with pytest.raises(StudyError, match="cannot be read"):
            sharing.refuse_clashes(mine, layout)


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StudyError, match="cannot be written to"):
        environment.refuse_unwritable(tmp_path / "results")


def test_a_folder_that_is_there_is_none_of_the_hub_s(tmp_path, monkeypatch):
    """Whether or not its name begins with a dot; and nothing, or lsa, is no folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/bert").mkdir(parents=True)
    (tmp_path / "mine/bert/config.json").write_text("{}")
    (tmp_path / "lsa").mkdir()
    assert grid.local_files("mine/bert") == ["mine/bert/config.json"]
    assert grid.local_files("") == grid.local_files("lsa") == []
    models = [{"name": "a", "checkpoint": "mine/bert"}, {"name": "b", "checkpoint": "google/bert"}]
    study = {"miner": {"encoder": "lsa"}, "models": models, "tokenizer": {"name": "w"}, "variants": []}
    study["ranker"] = {"kind": "bi_encoder"}
    study["training"] = dict.fromkeys(("teacher", "consistency_filter", "curriculum", "propensity"))
    assert grid.hub_ids(study) == {"google--bert": "google/bert"}
    assert grid.tokenizer_of(study, models[0])[0].startswith("bert-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"study: a\ntraining:\n  epochs: 1\n  epochs: 2\n", "line 4: the key epochs stands twice"),
        (b"study: a\nstudy: b\n", "line 2: the key study stands twice"),
        (b"study: a\nmodels: [{name: b, name: c}]\n", "line 2: the key name stands twice"),
        (b"? [a, b]\n: 1\n", "is no YAML file"),
        (b"study: &a [1, *a]\n", "refers to itself"),
        (b"study: 2020-01-01\n", "study: 2020-01-01 is a date; quote it"),
        (b"study: [a", "is no YAML file"),
        (b"study: \xff", "is no YAML file"),
        (b"", "has no keys"),
        (b"- a\n- b\n", "has no keys"),
    ],
)
def test_a_study_file_that_cannot_be_meant_is_refused(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_bytes(text)
    with pytest.raises(StudyError, match=message):
        config.check_config(config_file.load_config_file(tmp_path / "mine.yaml"))


def test_merged_keys_may_be_overridden(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: {m: &x {q: 1}, b: &y {<<: *x, q: 2}}\nc: {<<: *y}\n")
    assert config_file.load_config_file(tmp_path / "mine.yaml") == {"a": {"m": {"q": 1}, "b": {"q": 2}}, "c": {"q": 2}}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.learning_rate", 1e308, "1e.308 is greater than the maximum of"),
        ("models.0.layers", 10**9, "1000000000 is greater than the maximum of 1000"),
        ("models.0.hidden", 2**31, "2147483648 is greater than the maximum of 65536"),
        ("training.batch_size", 2**31, "2147483648 is greater than the maximum of 2147483647"),
        ("training.seeds", [2**63], "is greater than the maximum"),
        ("miner.shards", 5000, "5000 is greater than the maximum of 1000"),
        ("study", "x" * 300, "study: x+... is not allowed: it has 300 characters, at most 100 are"),
        ("miner.encoder", "~nouser/x", "miner.encoder: ~nouser/x: there is no such user"),
        ("miner.encoder", "./" + "x" * 300, "x[.]{3}: cannot be looked at .File name too long"),
        ("collection", {"source": "beir", "path": "x" * 300}, "x[.]{3}: cannot be looked at .File name too long"),
        ("training.seeds", list(range(100_001)), "more than 100,000 checkpoints"),
        ("training.epochs", "2", "write them into a second --configfile"),
    ],
)
def test_what_no_stage_takes_and_names_that_cannot_be_are_refused_at_once(path, value, message):
    with pytest.raises(StudyError, match=message) as error:
        config.check_config(changed(path, value))
    assert len(str(error.value)) < 1000


def test_a_hub_id_longer_than_any_folder_s_name_is_no_folder():
    assert not grid.is_folder("x" * 300)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir(mode=0)
    with pytest.raises(StudyError, match="the folder may not be read"):
        config.check_config(changed("miner.encoder", str(folder)))


def test_further_collections_are_studies_of_their_own_that_train_nothing():
    further = {"name": "other", "source": "docstrings", "packages": "other", "candidates": {"random": 8}}
    found = config.check_config(changed("evaluation.collections", [further]))
    (one,) = further_collections(found).values()
    assert one["collection"]["splits"] == {"train": None, "test": ["test"]}
    assert one["evaluation"]["candidates"] == {"random": 8}
    assert one["evaluation"]["full_retrieval"] == found["evaluation"]["full_retrieval"]
    assert one["evaluation"]["collections"] == []
    own = sharing.shared_settings(found, Layout.of(found))
    without = config.check_config(EMBEDDED)
    alone = sharing.shared_settings(without, Layout.of(without))
    # What others share stays as it is, and the new one's folder is that of a study of its own.
    assert {path: own[path] for path in alone} == alone
    assert own["results/shared/other/manifest.json"]["packages"] == "other"
    assert own["results/shared/other/tokens/docstrings--wordpiece/manifest.json"]["collection"] == "docstrings"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "collections",
            [{"name": "docstrings"}],
            "the collections' names: docstrings would be that of the study's own",
        ),
        ("collections", [{"name": "Docstrings"}], "docstrings and Docstrings differ in case"),
        ("collections", [{"name": "hub"}], "evaluation.collections: hub is the name of the folder of what is fetched"),
        ("collections", [{"name": "a", "path": "x"}], "evaluation.collections: a: collection.path: x does not fit"),
        ("collections", [{"name": "a", "splits": {"train": "train"}}], "splits.train: unknown key"),
        ("references", {"bm25": {"k2": 1}}, "evaluation.references.bm25.k2: unknown key"),
        ("references", {"runs": [{"name": "bm25", "path": "x"}]}, "bm25 is the name of a reference of that name"),
        ("references", {"runs": [{"name": "a", "path": "x"}]}, "runs.0.path: x: there is no such file"),
        ("references", {"runs": [{"name": "a", "path": "x", "split": "b"}]}, "runs.0.split: b is no test set of"),
        ("references", {"runs": [{"name": "a", "path": "x", "collection": "b"}]}, "collection: b is none of the study"),
    ],
)
def test_what_is_wrong_with_other_collections_and_references_is_named(path, value, said):
    with pytest.raises(StudyError, match=re.escape(said)):
        config.check_config(changed(f"evaluation.{path}", value))
