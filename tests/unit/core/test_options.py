"""One dataclass is a stage's command line, its defaults, what its rule passes, and what a fingerprint holds."""

import argparse
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from rankscale.core.options import add_options, command_line, option, parsed, result_settings


@dataclass(frozen=True)
class Chosen:
    name: str = option(help="needed")
    sizes: list[int] = option([], help="several")
    rate: float | None = option(None)
    fast: bool = option(False)
    kind: str = option("a", choices=["a", "b"])
    folder: Path | None = option(None, in_result=False)
    scaled: bool = option(True)
    grades: dict[str, int] = option({"a": 1}, read=json.loads)


def read(text):
    parser = argparse.ArgumentParser()
    add_options(parser, Chosen)
    return parsed(Chosen, parser.parse_args(shlex.split(text)))


def test_what_a_rule_passes_is_what_the_stage_reads():
    values = {"name": "$(x) y'z", "sizes": [1, 2], "rate": 1e-05, "fast": True, "kind": "b", "folder": Path("a b")}
    values |= {"scaled": False, "grades": {"b c": 2}}
    assert read(command_line(Chosen, values)) == Chosen(**values)
    assert read(command_line(Chosen, {"name": "n", "fast": False, "rate": None})) == Chosen("n")


def test_a_bool_can_be_made_false_whatever_its_default():
    for scaled in (True, False):
        assert read(command_line(Chosen, {"name": "n", "scaled": scaled})) == Chosen("n", scaled=scaled)
    assert command_line(Chosen, {"name": "n", "fast": False, "scaled": False}) == "--name n --no-scaled"
    assert read("--name n").scaled


def test_what_is_no_option_is_refused_not_dropped():
    with pytest.raises(TypeError, match=r"no fields: \['sise'\]"):
        command_line(Chosen, {"name": "n", "sise": 1})
    with pytest.raises(TypeError, match=r"missing: \['name'\]"):
        command_line(Chosen, {})


def test_what_the_shell_text_of_a_rule_passes_is_left_to_it():
    assert command_line(Chosen, {"kind": "b"}, given={"name"}) == "--kind b"
    with pytest.raises(TypeError, match=r"given twice: \['name'\]"):
        command_line(Chosen, {"name": "n"}, given={"name"})
    with pytest.raises(TypeError, match=r"no fields: \['nam'\]"):
        command_line(Chosen, {"name": "n"}, given={"nam"})


def test_wrong_values_are_refused(capsys):
    for text in ("--name n --kind c", "--name n --rate much", "--fast"):
        with pytest.raises(SystemExit):
            read(text)
    assert "--name" in capsys.readouterr().err


def test_a_result_depends_on_every_option_that_does_not_say_otherwise():
    settings = result_settings(Chosen("n", folder=Path("x")))
    plain = {"name": "n", "sizes": [], "rate": None, "fast": False, "kind": "a"}
    assert settings == {**plain, "scaled": True, "grades": {"a": 1}}
