"""A study's commit says whether the code was changed since."""

import shutil
import subprocess

import pytest

from rankscale.study import provenance
from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project of its own in git."""
    for name in (
        "Snakefile",
        "workflow/rules/common.smk",
        "workflow/rankscale/core/errors.py",
        "profiles/default/config.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "config.yaml").write_text("study: x\n")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    return tmp_path


def test_a_clean_checkout_is_not_dirty_and_a_config_is_no_code(checkout):
    assert provenance.code_changed() is False
    (checkout / "config.yaml").write_text("study: y\n")
    assert provenance.code_changed() is False


@pytest.mark.parametrize("name", ["Snakefile", "workflow/rankscale/core/errors.py", "profiles/default/config.yaml"])
def test_an_edit_anywhere_in_the_code_is_seen(checkout, name):
    (checkout / name).write_text("# another\n")
    assert provenance.code_changed() is True


def test_without_git_it_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.code_changed() is None
