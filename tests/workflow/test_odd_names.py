"""Every shell line of the workflow with names that a shell, Snakemake's formatter or HTML would take for its own."""

import importlib
import json
import os
import re
import sys

import pytest
import yaml

from rankscale.core.commands import STAGES
from tests.conftest import ROOT, run

ODD = 'o\'d "d" & ({x}) $(touch hit) `touch hit`; * $HOME {shard} 中文 \\ </script><b>'
FOLDER = ODD.replace("</script>", "<i>")  # a slash is none in a name
NAMES = {"train": "train {x}", "test": "test $(touch hit) <i>'"}


def odd_study(folder):
    """A study whose every free string is odd, and the folders that it names, as far as the Snakefile looks."""
    data, model = folder / f"data {FOLDER}", folder / f"bert {FOLDER}"
    (data / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", *(f"qrels/{split}.tsv" for split in NAMES.values())):
        (data / name).touch()
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).touch()
    scores = folder / f"scores {FOLDER}.tsv"
    scores.touch()
    return {
        "study": "odd",
        "collection": {
            "name": "own",
            "source": "beir",
            "path": str(data),
            "splits": {"train": NAMES["train"], "test": [NAMES["test"]]},
        },
        "miner": {
            "name": "m",
            "encoder": str(model),
            "top_k": 20,
            "query_prefix": ODD,
            "passage_prefix": "--shard {shard}",
        },
        "models": [
            {"name": "a", "checkpoint": str(model), "tokenizer": str(model)},
            {"name": "b", "layers": 1, "hidden": 8, "heads": 2},
        ],
        "training": {
            "train_queries": [32, 64],
            "batch_size": 16,
            "learning_rate": 1e-3,
            "snapshots": {"models": ["a"], "steps": [1]},
        },
        "variants": [
            {"name": "base"},
            {
                "name": "taught",
                "training": {"negatives": "mined", "objective": {"name": "kl"}, "teacher": {"scores": str(scores)}},
            },
            {"name": "on", "training": {"negatives": "dynamic", "negatives_per_query": 2}},
        ],
        "evaluation": {
            "candidates": {"hard": 8, "random": 8},
            "full_retrieval": {"top_k": 100, "pool": "judged+mined+5"},
            "slices": True,
            "references": {"random": True},
        },
        "laws": {"bootstrap": 100},
        "plan": {"budget": 10, "prices": {"device_hour": 1}},
        "machine": {"scratch": f"{folder}/scratch $PLACE {FOLDER.replace('$HOME', '')}"},
    }


def words_of(folder, study):
    """The words that each stage is given when the shell lines of a study's dry run are run."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    dry = run(["snakemake", "-n", "-p", "--cores", "1", "-s", ROOT / "Snakefile", "--configfile", "study.yaml"], folder)
    lines = re.findall(r"^Shell command: (?!None$)(.*)$", dry.stdout, re.MULTILINE)
    # In the place of Python something that writes down its arguments.
    stand_in = folder / "bin/python"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f"#!{sys.executable} -I\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stand_in.chmod(0o755)
    (folder / "lines.sh").write_text("\n".join(["set -euo pipefail", f"PATH={stand_in.parent}:$PATH", *lines]))
    done = run(["bash", "lines.sh"], folder)
    stage_words = {}
    for line in done.stdout.splitlines():
        dash_m, package, name, *words = json.loads(line)
        assert (dash_m, package) == ("-m", "rankscale")
        stage_words.setdefault(name, []).append(words)
    assert not list(folder.rglob("hit")), "a name was run as a command"
    return stage_words


@pytest.fixture(scope="module")
def stage_words(tmp_path_factory):
    """The words of the stages of three studies: one trains, one reranks, one trains nothing; and the first of them."""
    folder = tmp_path_factory.mktemp("odd")
    study = odd_study(folder)
    pairs = {"name": "pairs", "ranker": {"kind": "cross_encoder"}, "training": {"negatives": "mined"}}
    searched = study["evaluation"] | {"full_retrieval": {"top_k": 100, "rerank": 10}}
    as_they_are = {key: value for key, value in study.items() if key not in ("variants", "plan")}
    reranked = words_of(folder, study | {"variants": [pairs], "evaluation": searched})
    adopted = words_of(folder, as_they_are | {"training": False})
    words = words_of(folder, study)
    return words | {"shortlist": reranked["shortlist"], "adopt": adopted["adopt"]}, study


def parsed(stage_words, name, monkeypatch=None):
    parser = importlib.import_module(f"rankscale.stages.{name}").arguments()
    parser.add_argument("--device", default=None) if "--device" not in parser._option_string_actions else None
    return [parser.parse_args(words) for words in stage_words[name]]


def test_every_stage_is_told_what_it_knows(stage_words, monkeypatch):
    stage_words, _ = stage_words
    monkeypatch.setenv("PLACE", "x")
    assert set(stage_words) == set(STAGES) - {"fetch"}
    for name in stage_words:
        assert parsed(stage_words, name)


def test_strings_of_the_config_arrive_as_they_are(stage_words, monkeypatch):
    stage_words, study = stage_words
    monkeypatch.setenv("PLACE", "here")
    (collect,) = parsed(stage_words, "collect")
    assert collect.path == study["collection"]["path"]
    assert collect.settings["path"] == study["collection"]["path"]
    (encode,) = parsed(stage_words, "encode")
    miner = study["miner"]
    assert (encode.encoder, encode.query_prefix) == (miner["encoder"], ODD)
    assert encode.passage_prefix == "--shard {shard}"
    by_model = {args.model: args for args in parsed(stage_words, "train")}
    assert by_model["a"].checkpoint == study["models"][0]["checkpoint"]
    assert by_model["a"].split == NAMES["train"]
    scratch = study["machine"]["scratch"].replace("$PLACE", "here")
    runs = [args for stage in ("train", "refine") for args in parsed(stage_words, stage)]
    assert {str(args.scratch).split(f"/{args.variant}/")[0] for args in runs} == {f"{scratch}/odd"}
    (teach,) = parsed(stage_words, "teach")
    assert [str(path) for path in teach.scores] == [study["variants"][1]["training"]["teacher"]["scores"]]
    assert {args.tokenizer for args in parsed(stage_words, "tokenize")} == {None, study["models"][0]["tokenizer"]}
    (sample,) = parsed(stage_words, "sample")
    assert (sample.splits, sample.train_split) == ([NAMES["test"]], NAMES["train"])


def test_what_the_report_shows_in_a_script_has_no_tag(stage_words):
    stage_words, _ = stage_words
    (words,) = stage_words["summarize"]
    config = words[words.index("--config") + 1]
    assert "<" not in config
    assert json.loads(config)["miner"]["query_prefix"] == ODD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"miner": {"encoder": "$(touch hit)"}}, "miner.encoder: $(touch hit): there is no such folder, and no id"),
        ({"models": [{"name": "a", "checkpoint": "a;b"}]}, "models: a: checkpoint a;b: there is no such folder"),
        ({"models": [{"name": "a", "checkpoint": "a/b", "tokenizer": "{x}"}]}, "models: a: tokenizer {x}: there is"),
    ],
)
def test_what_is_neither_a_folder_nor_an_id_is_refused(tmp_path, change, message):
    from rankscale.core.errors import StudyError
    from rankscale.study.config import check_config

    study = odd_study(tmp_path)
    study["miner"]["encoder"] = "lsa"
    with pytest.raises(StudyError, match=re.escape(message)):
        check_config(study | {k: {**study[k], **v} if isinstance(v, dict) else v for k, v in change.items()})


def test_a_file_dated_ahead_of_the_clock_is_named(tmp_path):
    from rankscale.core.errors import StudyError
    from rankscale.study import grid, watched_files
    from rankscale.study.config import check_config

    study = check_config(odd_study(tmp_path))
    watched_files.refuse_unusable(grid.own_files(study))
    taught = study["variants"][1]["training"]["teacher"]["scores"]
    for file in (
        grid.source_files(study["collection"])[0],
        grid.local_files(study["models"][0]["checkpoint"])[0],
        taught,
    ):
        stat = os.stat(file)
        os.utime(file, (stat.st_atime, stat.st_mtime + 6 * 3600))
        with pytest.raises(StudyError, match=r"is dated 360 minutes ahead of this machine's clock .* `touch` it"):
            watched_files.refuse_unusable(grid.own_files(study))
        os.utime(file, (stat.st_atime, stat.st_mtime))


@pytest.mark.parametrize("name", ["a{x}", "a<b>"])
def test_a_change_in_a_file_that_snakemake_cannot_name_is_a_change_of_the_rule(tmp_path, name):
    from rankscale.study import watched_files

    (tmp_path / name).write_text("1")
    files = [str(tmp_path / name), str(tmp_path / "b")]
    assert watched_files.inputs(files) == files[1:]
    before = watched_files.stamps(files)
    (tmp_path / name).write_text("12")
    assert watched_files.stamps(files) != before
