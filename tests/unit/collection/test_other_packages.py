"""Docstrings of other fields: of which packages they are, and that no training query is among them."""

import re

import pytest

from rankscale.collection import docstrings
from rankscale.collection.options import CollectOptions
from rankscale.core.errors import StudyError
from tests.conftest import ROOT


def test_they_are_pinned_and_none_is_trained_on():
    pinned = {re.split("==", line)[0].strip().lower() for line in (ROOT / "envs/lock.txt").read_text().splitlines()}
    others = {name.lower() for name in docstrings.OTHER_PACKAGES}
    assert len(others) == 10
    assert others <= pinned
    assert not others & {name.lower() for name in docstrings.PACKAGES}


def test_texts_are_of_the_packages_that_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(docstrings.BY_NAME, "other", ("traitlets",))
    source = docstrings.read(CollectOptions(packages="other", test_queries=20, dev_queries=0), tmp_path)
    names = [text.id for text in source.documents]
    assert all(name.startswith("traitlets.") for name in names)
    assert set(source.facts["versions"]) == {"traitlets"}
    assert len(source.judgments["test"]) == 20
    assert len(source.judgments["train"]) == len(names) - 20
    with pytest.raises(StudyError, match="leave no training query"):
        docstrings.read(CollectOptions(packages="other", test_queries=5000), tmp_path)
