"""Who teaches: named by what they are, made once, and refused where two studies disagree."""

import copy
import json

import pytest
import yaml

from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
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
