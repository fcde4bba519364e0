"""A study file as it is written: YAML or JSON whose keys stand once.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from rankscale.core.errors import StudyError

MOST = 100_000  # values of a file, each anchor counted wherever it is used: a study has some hundreds


def load_config_file(path: Path) -> dict[str, Any]:
    """The keys of a study file.

    Raises StudyError where it cannot be read, has no keys or one of them twice (the loader would silently take the
    last). What the keys hold is for `config.check`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        keys = _json(text)
        if keys is None:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_bombs(root)
            _refuse_twice(root, set())
            keys = yaml.safe_load(text)
    except StudyError:
        raise
    except OSError as error:
        raise StudyError(f"cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:  # a month 13, !!bool maybe, [[[[...
        raise StudyError(f"is no YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(keys, dict):
        raise StudyError("has no keys; it takes those of config.yaml")
    return keys


def _json(text: str) -> Any:
    """What a text holds that is JSON, as Snakemake reads it too (YAML takes no tabs); None if it is none."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        for name, value in pairs:
            if name in keys:
                raise StudyError(f"the key {name} stands twice")
            keys[name] = value
        return keys

    try:
        return json.loads(text, object_pairs_hook=once)
    except StudyError:
        raise
    except (ValueError, RecursionError):
        return None


def _refuse_bombs(root: yaml.Node | None) -> None:
    """Raise StudyError where anchors of anchors would grow to more than any study holds."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1  # of an anchor within itself; check_config names it
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            below = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
            sizes[id(node)] = 1 + sum(map(size, below))
        return sizes[id(node)]

    if root is not None and size(root) > MOST:
        raise StudyError(f"has more than {MOST:,} values, its anchors written out; write them out where they are few")


def _refuse_twice(node: yaml.Node | None, visited: set[int]) -> None:
    """Raise StudyError if a mapping below `node` has a key twice; before anchors are merged into it."""
    if id(node) in visited or not isinstance(node, yaml.CollectionNode):
        return
    visited.add(id(node))
    keys: set[str] = set()
    for part in node.value:
        if isinstance(node, yaml.MappingNode) and isinstance(part[0], yaml.ScalarNode):
            if part[0].value in keys:
                raise StudyError(f"line {part[0].start_mark.line + 1}: the key {part[0].value} stands twice")
            keys.add(part[0].value)
        for below in part if isinstance(part, tuple) else (part,):
            _refuse_twice(below, visited)
