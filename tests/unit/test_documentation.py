"""docs/architecture.md names every module, and nothing that is not there."""

import re

from rankscale.core.paths import PACKAGE
from tests.conftest import ROOT

TREE = re.search(r"```\n(Snakefile.*?)```", (ROOT / "docs/architecture.md").read_text(), re.DOTALL)[1]


def test_the_tree_of_the_architecture_page_names_nothing_that_is_gone():
    lines = TREE.partition("workflow/rankscale/\n")[2].partition("tests/")[0].splitlines()
    for line in lines:
        for name in re.split(r"\s{3,}", line.strip())[0].split():
            there = (PACKAGE / name).is_dir() or any(PACKAGE.rglob(f"{name}.py")) or any(PACKAGE.rglob(name))
            assert there, f"docs/architecture.md: {name} is not there"


def test_every_module_is_named():
    names = set(re.findall(r"\w+", TREE))
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "__init__":
            assert path.stem in names, f"docs/architecture.md: lacks {path.relative_to(PACKAGE)}"


def test_what_the_page_says_to_touch_is_there():
    text = (ROOT / "docs/architecture.md").read_text()
    for path in re.findall(r"`((?:core|training|laws|report|collection|models|stages|tools)/[\w/]*(?:\.py|/)?)`", text):
        assert (PACKAGE / path).exists() or (PACKAGE / f"{path}.py").exists(), path
