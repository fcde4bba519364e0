"""Study files as people write them: YAML, JSON with tabs, and what only looks like either."""

import json

import pytest

from rankscale.core.errors import StudyError
from rankscale.study.config_file import load_config_file


def written(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_json_with_tabs_is_read_as_snakemake_reads_it(tmp_path):
    study = {"study": "s", "training": {"learning_rate": 3e-6, "train_queries": [32, None]}}
    assert load_config_file(written(tmp_path, json.dumps(study, indent="\t"))) == study


@pytest.mark.parametrize("text", ['{"a": 1, "b": {"c": 1, "c": 2}}', "a: 1\nb:\n  c: 1\n  c: 2\n"])
def test_a_key_that_stands_twice_is_named(tmp_path, text):
    with pytest.raises(StudyError, match=r"^(line 4: )?the key c stands twice$"):
        load_config_file(written(tmp_path, text))


@pytest.mark.parametrize("use", ["[{}]", "{{<<: [{}]}}"])
def test_anchors_that_would_fill_the_memory_are_refused_at_once(tmp_path, use):
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{i}: &a{i} " + use.format(", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 12)]
    with pytest.raises(StudyError, match=r"more than 100,000 values"):
        load_config_file(written(tmp_path, "\n".join(lines)))


def test_an_anchor_that_is_used_some_times_is_no_bomb(tmp_path):
    path = written(tmp_path, "a: &a {x: [1, 2]}\nb: [*a, *a]\n")
    assert load_config_file(path)["b"] == [{"x": [1, 2]}] * 2
