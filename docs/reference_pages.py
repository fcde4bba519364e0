"""Pages of the site that are made from the code: every config key, every table, the public API; and the first page.

A hook of mkdocs (mkdocs.yml): the pages exist only while the site is built, so none of them can fall behind.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import rankscale  # noqa: E402
from rankscale.core.commands import STAGES, TOOLS  # noqa: E402
from rankscale.storage.meanings import ROWS, meaning  # noqa: E402
from rankscale.storage.schemas import SCHEMAS  # noqa: E402
from rankscale.study.config import schema  # noqa: E402

MOST = 60  # characters of a default that is shown


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {"index.md": index(), "config.md": config_page(), "tables.md": tables_page(), "api.md": api_page()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def index() -> str:
    """The README, whose links into docs/ are the site's."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


def config_page() -> str:
    """Every key of a study's config, from its schema."""
    whole = schema()
    lines = ["# Config keys", "", whole["description"], ""]
    for name, given in whole["properties"].items():
        section = resolved(given)
        lines += [f"## {name}", "", described(section), "", *key_table(keys(section, name))]
    lines += ["## Losses", "", "`training.objective.name` and the parameters that stand beside it.", ""]
    for name, loss in whole["$defs"]["losses"].items():
        lines += [f"### {name}", "", *key_table(keys(loss, "training.objective"))]
    return "\n".join(lines)


def keys(section: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below a section with its schema; `[]` stands for the entries of a list."""
    section = resolved(section)
    for part in (section, *section.get("oneOf", ())):
        for name, key in part.get("properties", {}).items():
            yield f"{path}.{name}", resolved(key)
            yield from keys(key, f"{path}.{name}")
    items = resolved(section.get("items", {}))
    if items.get("properties"):
        yield from keys(items, f"{path}[]")


def resolved(key: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to put in place."""
    if "$ref" not in key:
        return key
    other = schema()["$defs"][key["$ref"].rpartition("/")[2]]
    return {**other, **{name: value for name, value in key.items() if name != "$ref"}}


def key_table(rows: Iterator[tuple[str, dict[str, Any]]]) -> list[str]:
    """A table of keys; nothing for a section without any."""
    cells = [f"| `{path}` | {type_words(key)} | {default_words(key)} | {described(key)} |" for path, key in rows]
    return ["| key | takes | default | |", "| --- | --- | --- | --- |", *cells, ""] if cells else []


def type_words(key: dict[str, Any]) -> str:
    """What a key takes."""
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if "const" in key:
        return f"`{json.dumps(key['const'])}`"
    if "oneOf" in key:
        return " or ".join(dict.fromkeys(type_words(resolved(one)) for one in key["oneOf"]))
    kinds = key.get("type", "any")
    words = " or ".join(kinds if isinstance(kinds, list) else [kinds])
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    shown = [f"{word} {key[name]:g}" for name, word in bounds.items() if name in key and abs(key[name]) < 1e6]
    return " ".join([words, *shown])


def default_words(key: dict[str, Any]) -> str:
    """A key's default; a dash for what must be given, or has keys of its own."""
    if "default" not in key or key["default"] == {}:
        return "-"
    text = json.dumps(key["default"])
    return f"`{text}`" if len(text) <= MOST else f"`{text[:MOST]}…`"


def described(key: dict[str, Any]) -> str:
    """A key's description, fit for a cell; braces and bars of it are no markup."""
    return re.sub(r"([|<{}*_])", r"\\\1", key.get("description", ""))


def tables_page() -> str:
    """Every table and column, from the Arrow schemas."""
    lines = [
        "# Tables",
        "",
        "Every table is Parquet, checked against its schema when it is written and when it is read.",
    ]
    for name, table in SCHEMAS.items():
        key = (table.metadata or {}).get(b"key", b"").decode().split()
        lines += ["", f"## {name}", "", f"One row for {ROWS[name]}. Key: {', '.join(f'`{part}`' for part in key)}.", ""]
        lines += ["| column | type | may be missing | |", "| --- | --- | --- | --- |"]
        for field in table:
            missing = "yes" if field.nullable else ""
            lines.append(
                f"| `{field.name}` | {str(field.type).replace('<', '&lt;')} | {missing} | {meaning(name, field.name)} |"
            )
    return "\n".join(lines)


def api_page() -> str:
    """The public names, from their docstrings; and the commands."""
    lines = ["# Python and command line", "", "`from rankscale import ...`"]
    for name in sorted(rankscale.__all__, key=str.lower):
        value = getattr(rankscale, name)
        signature = "" if inspect.isclass(value) and issubclass(value, Exception) else str(inspect.signature(value))
        lines += ["", f"## {name}", "", f"```python\n{name}{signature}\n```", "", inspect.cleandoc(value.__doc__ or "")]
        for member, about in members(value) if inspect.isclass(value) else ():
            lines += ["", f"### {name}.{member}", "", about]
    lines += ["", "## Commands", "", "`rankscale COMMAND --help` says more of each.", ""]
    for kind, commands in (("stage", STAGES), ("tool", TOOLS)):
        lines += [f"- {kind} `{command}`: {purpose(command)}" for command in commands]
    return "\n".join(lines)


def members(of: type) -> Iterator[tuple[str, str]]:
    """The public methods and properties of a class with their docstrings."""
    for name, member in inspect.getmembers(of):
        documented = (inspect.isfunction(member) or isinstance(member, property)) and member.__doc__
        if documented and not name.startswith("_"):
            yield name, inspect.cleandoc(member.__doc__ or "")


def purpose(command: str) -> str:
    """The first line of a command's docstring."""
    from rankscale.__main__ import _purpose

    return _purpose(command)
