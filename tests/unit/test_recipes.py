"""A costly stage's recipe number must say whether its results changed."""

import json
from pathlib import Path

import pytest

from rankscale import recipes, sources

RECORD = Path(__file__).with_name("recipes.json")
STAGES = ("collect", "tokenize", "encode", "mine", "train", "retrieve")
ADVICE = """the code behind `{stage}` changed (recipe {number}). If its results change, raise rankscale.recipes.{name}:
its jobs then run again. If they do not, leave the number. Then record the code as it is:
python -m tests.unit.test_recipes"""


def state():
    return {s: {"recipe": getattr(recipes, s.upper()), "code": sources.digest(s)} for s in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_behind_a_recipe_number_is_the_recorded_one(stage):
    now, recorded = state()[stage], json.loads(RECORD.read_text())[stage]
    assert now == recorded, ADVICE.format(stage=stage, number=now["recipe"], name=stage.upper())


def test_a_stage_knows_the_modules_it_is_made_of():
    assert {"retrieve", "models", "bert", "store", "search", "tables"} <= set(sources.modules("retrieve"))
    assert "laws" not in sources.modules("train")


def test_comments_and_docstrings_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "HERE", tmp_path)
    found = []
    same = ('"""A."""\nx = f"""1\n\n2"""\n', '"""B.\n\nC."""\n# why\n\nx = f"""1\n\n2"""  # as\n')
    for number, text in enumerate((*same, '"""A."""\nx = f"""1\n2"""\n')):
        (tmp_path / f"only_here_{number}.py").write_text(text)  # what is read once is remembered by name
        found.append(sources.digest(f"only_here_{number}"))
    assert found[0] == found[1] != found[2]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(state(), indent=2) + "\n")
