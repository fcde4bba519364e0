"""A study file as it is written: YAML whose keys stand once.

Read by the Snakefile, which every cluster job parses: nothing heavy is imported here.
"""

from pathlib import Path
from typing import Any

import yaml

from rankscale.core.errors import StudyError


def load_config_file(path: Path) -> dict[str, Any]:
    """The keys of a study file.

    Raises StudyError where it cannot be read, has no keys or one of them twice (the loader would silently take the
    last). What the keys hold is for `config.check`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader), set())
        found = yaml.safe_load(text)
    except OSError as error:
        raise StudyError(f"cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:  # a month 13, !!bool maybe, [[[[...
        raise StudyError(f"is no YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict):
        raise StudyError("has no keys; it takes those of config.yaml")
    return found


def _refuse_twice(node: yaml.Node | None, seen: set[int]) -> None:
    """Raise StudyError if a mapping below `node` has a key twice; before anchors are merged into it."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    keys: set[str] = set()
    for part in node.value:
        if isinstance(node, yaml.MappingNode) and isinstance(part[0], yaml.ScalarNode):
            if part[0].value in keys:
                raise StudyError(f"line {part[0].start_mark.line + 1}: the key {part[0].value} stands twice")
            keys.add(part[0].value)
        for below in part if isinstance(part, tuple) else (part,):
            _refuse_twice(below, seen)
