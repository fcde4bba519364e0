"""The site builds without a warning or a broken link, and its reference has every key, column and public name."""

import os
import re

import pytest

import rankscale
from rankscale.storage.meanings import MEANINGS, ROWS, meaning
from rankscale.storage.schemas import SCHEMAS
from rankscale.study.config import objectives, schema
from tests.conftest import ROOT, run

pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # of the theme, about another program
    built = run(f"python -m mkdocs build --strict --config-file {ROOT / 'mkdocs.yml'} --site-dir {folder}", ROOT)
    assert "WARNING" not in built.stdout, built.stdout
    return folder


def text_of(page):
    return re.sub(r"&lt;", "<", page.read_text())


def paths(section, path=""):
    """The keys of the schema that stand directly below sections, as a reader would write them."""
    for name, key in section.get("properties", {}).items():
        yield f"{path}{name}"
        yield from paths(key, f"{path}{name}.")


def test_every_config_key_is_there_with_its_default(site):
    page = text_of(site / "config/index.html")
    keys = [key for key in paths(schema()) if "." in key]
    assert len(keys) > 100
    for key in keys:
        assert f"<code>{key}</code>" in page, key
    for name in objectives():
        assert f'<h3 id="{name}' in page, name
    row = re.search(r"<td><code>training.batch_size</code></td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", page)
    assert row[2] == "<code>32</code>"


def test_every_column_is_there_with_a_sentence(site):
    page = text_of(site / "tables/index.html")
    for name, table in SCHEMAS.items():
        assert f'<h2 id="{name}">' in page
        for column in table.names:
            assert meaning(name, column), f"storage/meanings.py: says nothing of {column} of {name}"
    assert set(ROWS) == set(SCHEMAS)
    used = {key for name, table in SCHEMAS.items() for column in table.names for key in (column, f"{name}.{column}")}
    assert set(MEANINGS) <= used


def test_every_public_name_is_there(site):
    page = text_of(site / "api/index.html")
    for name in rankscale.__all__:
        assert f'<h2 id="{name.lower()}">' in page
    assert "Raises StudyError" in page


def test_the_first_page_is_the_readme_and_its_links_lead_within_the_site(site):
    page = text_of(site / "index.html")
    assert "make demo" in page
    links = re.findall(r'href="([^"#:]+)"', page)
    assert "method/" in links
    assert not [link for link in links if link.startswith("docs/")]
