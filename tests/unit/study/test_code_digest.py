"""A costly stage's recipe number must say whether its results changed."""

import json
from pathlib import Path

import pytest

from rankscale.core import stage_versions
from rankscale.core.errors import StudyError
from rankscale.study import code_digest

RECORD = Path(__file__).with_name("stage_versions.json")
STAGES = ("collect", "tokenize", "encode", "mine", "teach", "train", "refine", "shortlist", "retrieve")
ADVICE = """code of `{stage}` changed (recipe {number}). If its results change, raise {name} in core.stage_versions:
its jobs then run again. If they do not, leave the number. Then record the code as it is:
python -m tests.unit.study.test_code_digest"""


def state():
    return {
        s: {"recipe": getattr(stage_versions, s.upper()), "code": code_digest.code_digest(f"stages.{s}")}
        for s in STAGES
    }


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_behind_a_recipe_number_is_the_recorded_one(stage):
    now, recorded = state()[stage], json.loads(RECORD.read_text())[stage]
    assert now == recorded, ADVICE.format(stage=stage, number=now["recipe"], name=stage.upper())


def test_a_stage_knows_the_modules_it_is_made_of():
    assert {"models.bert", "text.token_store", "search.exact_search", "storage.tables"} <= set(
        code_digest.modules("stages.retrieve")
    )
    assert not any(name.startswith("laws.") for name in code_digest.modules("stages.train"))


def test_comments_and_docstrings_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(code_digest, "PACKAGE", tmp_path)
    digests = []
    same = ('"""A."""\nx = f"""1\n\n2"""\n', '"""B.\n\nC."""\n# why\n\nx = f"""1\n\n2"""  # as\n')
    for number, text in enumerate((*same, '"""A."""\nx = f"""1\n2"""\n')):
        (tmp_path / f"only_here_{number}.py").write_text(text)  # what is read once is remembered by name
        digests.append(code_digest.code_digest(f"only_here_{number}"))
    assert digests[0] == digests[1] != digests[2]


def test_digests_follow_nested_modules_and_refuse_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(code_digest, "PACKAGE", tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "inner.py").write_text("from rankscale.below.other import f\n")
    (tmp_path / "below" / "other.py").write_text("def f(): return 1\n")
    (tmp_path / "nested_a.py").write_text("from rankscale.below import inner\n")
    assert code_digest.modules("nested_a") == ("nested_a", "below.inner", "below.other")
    (tmp_path / "nested_b.py").write_text("import rankscale.below.inner\n")
    assert code_digest.modules("nested_b") == ("nested_b", "below.inner", "below.other")
    for number, text in enumerate(("from rankscale.below import absent", "import rankscale.gone", "from . import x")):
        (tmp_path / f"nested_odd_{number}.py").write_text(f"\n{text}\n")
        with pytest.raises(StudyError, match=f"nested_odd_{number}.py:2: "):
            code_digest.code_digest(f"nested_odd_{number}")


if __name__ == "__main__":
    RECORD.write_text(json.dumps(state(), indent=2) + "\n")
