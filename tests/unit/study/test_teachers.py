"""Who teaches: named by what they are, made once, and refused where two studies disagree."""

import copy
import json

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.stages import gather
from rankscale.study import grid, sharing, stage_arguments, teachers
from rankscale.study.config import check_config
from rankscale.study.provenance import taught
from tests.conftest import SMALL


def study(**training):
    config = yaml.safe_load(SMALL)
    config["training"] |= copy.deepcopy(training)
    return check_config(config)


def test_the_miner_teaches_whoever_goes_by_its_scores():
    assert teachers.teachers(study()) == {}
    for more in ({"curriculum": {}}, {"propensity": {}}, {"consistency_filter": 10}):
        assert set(teachers.teachers(study(**more))) == {"miner"}
    by_random = study(negatives="random", consistency_filter=10)
    by_random["evaluation"]["candidates"] = {"random": 16}
    assert grid.needs_miner(by_random)


def test_files_of_one_name_at_two_places_are_two_teachers(tmp_path):
    names = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scores.tsv").write_text("")
        teacher = {"scores": str(tmp_path / folder / "scores.tsv")}
        checked = study(objective={"name": "margin_mse"}, negatives="mined", teacher=teacher)
        (name,) = teachers.teachers(checked)
        assert teachers.teacher_kind(teacher) == "file"
        assert name.startswith("scores-")
        assert "--teacher file --split train" in stage_arguments.teach(checked, name)
        names.add(name)
    assert len(names) == 2


def test_a_study_teaches_itself_by_a_run_of_another_variant():
    config = yaml.safe_load(SMALL)
    path = "results/demo/models/base/L1H32/1024/42/final.safetensors"
    kl = {"objective": {"name": "kl"}, "negatives": "mined", "teacher": {"scores": path}}
    config["variants"] = [{"name": "base"}, {"name": "kl", "training": kl}]
    checked = check_config(config)
    (name,) = teachers.teachers(checked)
    words = stage_arguments.gather(checked, [])
    assert f"--taught kl={sharing.taught(Layout.of(checked), name)}" in words
    # By one that it teaches itself, there is no beginning.
    config["variants"].append({"name": "two", "training": {**kl, "teacher": {"scores": path.replace("base", "kl")}}})
    with pytest.raises(StudyError, match="its variant, kl, is taught by this study itself"):
        check_config(config)


def test_models_that_read_texts_otherwise_are_other_teachers(tmp_path):
    (tmp_path / "ettin").mkdir()
    own = {"objective": {"name": "kl"}, "negatives": "mined"}
    ways = [{"model": "org/ettin"}, {"model": "org/ettin", "kind": "cross_encoder"}, {"model": str(tmp_path / "ettin")}]
    ways.append({"model": "org/ettin", "query_length": 8})
    names = [name for way in ways for name in teachers.teachers(study(**own, teacher=way))]
    assert len(set(names)) == 4
    assert [name.rpartition("-")[0] for name in names] == ["org--ettin", "org--ettin", "ettin", "org--ettin"]
    assert grid.hub_ids(study(**own, teacher=ways[0])) == {"org--ettin": "org/ettin"}
    assert grid.hub_ids(study(**own, teacher=ways[2])) == {}


def test_a_sharded_teacher_has_a_table_a_shard_and_each_is_told_its_own():
    teacher = {"model": "org/ettin", "kind": "cross_encoder", "shards": 3, "top_k": 20}
    checked = study(objective={"name": "kl"}, negatives="mined", teacher=teacher)
    names = list(teachers.teachers(checked))
    assert [name.rpartition("-")[2] for name in names] == ["0of3", "1of3", "2of3"]
    for shard, name in enumerate(names):
        words = stage_arguments.teach(checked, name)
        assert "--encoder org/ettin" in words
        assert f"--shards 3 --threads 1 --shard {shard} --teacher cross_encoder --split train --top-k 20" in words


def test_what_a_teacher_spent_is_of_the_queries_it_scored_and_once_its_own(tmp_path):
    for number, (flops, queries) in enumerate([(30.0, 10), (50.0, 10)]):
        facts = {"flops": flops, "queries": queries, "training_flops": 7.0}
        (tmp_path / f"{number}.json").write_text(json.dumps(facts))
    assert gather.teacher_costs([f"kl={tmp_path / f'{number}.json'}" for number in range(2)]) == {"kl": (7.0, 4.0)}
    (tmp_path / "0.json").write_text("{}")
    with pytest.raises(StudyError, match=r"0\.json: cannot be read"):
        gather.teacher_costs([f"kl={tmp_path / '0.json'}"])


def test_the_provenance_says_who_taught(tmp_path):
    checked = study(curriculum={})
    layout = Layout.of(checked, str(tmp_path))
    manifest = tmp_path / "shared/docstrings/lsa/teachers/miner.json"
    assert taught(checked, layout) == {}  # of another machine, or not made yet
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"study": "other", "digest": "abc"}))
    assert taught(checked, layout) == {"miner": {"study": "other", "digest": "abc"}}


def test_scores_that_another_study_made_of_another_split_are_refused(tmp_path):
    checked = study(curriculum={})
    layout = Layout.of(checked, str(tmp_path))
    manifest = tmp_path / "shared/docstrings/lsa/teachers/miner.json"
    assert sharing.taught(layout, "miner") == str(manifest)
    manifest.parent.mkdir(parents=True)
    settings = sharing.shared_settings(checked, layout)[str(manifest)]
    manifest.write_text(json.dumps({"study": "other", "settings": settings}))
    sharing.refuse_clashes(checked, layout)
    manifest.write_text(json.dumps({"study": "other", "settings": {**settings, "split": "dev"}}))
    with pytest.raises(StudyError, match="study other made it with split=dev"):
        sharing.refuse_clashes(checked, layout)
