"""Which modules a stage is made of, and a digest of what they do."""

import ast
import hashlib
import io
import tokenize
from functools import cache
from pathlib import Path

from rankscale.core.errors import StudyError
from rankscale.core.paths import PACKAGE


@cache
def modules(stage: str) -> tuple[str, ...]:
    """The project's modules that `stage` imports, itself first, the others by name."""
    closure, waiting = [], [stage]
    while waiting:
        name = waiting.pop()
        if name in closure:
            continue
        closure.append(name)
        waiting += _local_imports(name)
    return closure[0], *sorted(closure[1:])


@cache
def code_digest(stage: str) -> str:
    """A hash of the code of `stage`, the same on every Python; comments, docstrings and blank lines do not count."""
    names = modules(stage)
    texts = [*map(_without_comments, names), *(text for folder in _folders(names) for text in _assets(folder))]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _folders(names: tuple[str, ...]) -> list[Path]:
    return list(dict.fromkeys(_path(name).parent for name in names))


@cache
def _assets(folder: Path) -> list[str]:
    """What modules of a folder put into pages: scripts and styles beside them, which no import names."""
    return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.suffix in (".css", ".js")]


@cache  # many stages share a module, and every cluster job asks for all digests
def _local_imports(name: str) -> list[str]:
    """The project's modules that a module imports. Raises StudyError for one that is not there.

    What a digest does not see may change without anything running again, so nothing is passed over in silence.
    """
    imports = []
    for node in _statements(name):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise StudyError(f"{_path(name)}:{node.lineno}: a relative import, which is not followed; write it in full")
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rankscale":
            imports += [_module(f"{node.module}.{alias.name}", name, node.lineno) for alias in node.names]
        if isinstance(node, ast.Import):
            ours = [alias.name for alias in node.names if alias.name.startswith("rankscale.")]
            imports += [_module(full, name, node.lineno) for full in ours]
    return imports


def _module(full: str, importer: str, line: int) -> str:
    """The module that an imported name is, or is defined in; named without `rankscale.` in front."""
    below = full.removeprefix("rankscale.")
    for name in (below, below.rpartition(".")[0]):
        if name and _path(name).is_file():
            return name
    raise StudyError(f"{_path(importer)}:{line}: {full} is no module of this project, nor in one")


def _path(name: str) -> Path:
    return PACKAGE / f"{name.replace('.', '/')}.py"


@cache
def _source(name: str) -> str:
    return _path(name).read_text(encoding="utf-8")


@cache
def _statements(name: str) -> list[ast.AST]:
    """The module and all its statements; not expressions, which are most nodes and hold no imports or docstrings."""
    statements: list[ast.AST] = [ast.parse(_source(name))]
    for node in statements:  # it grows
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            statements += getattr(node, part, [])
    return statements


@cache
def _without_comments(name: str) -> str:
    # Text, not syntax trees or tokens: those are printed differently by each version of Python.
    source = _source(name)
    lines = source.splitlines()
    inside: set[int] = set()
    opened: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
        # An f-string is one token up to Python 3.11, several afterwards.
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            opened.append(token.start[0])
        start = opened.pop() if kind == "FSTRING_END" else token.start[0]
        if kind in ("STRING", "FSTRING_END"):
            inside.update(range(start, token.end[0]))  # blank lines within a string are part of it
    for node in _statements(name):
        body = getattr(node, "body", None)
        if body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                rows = range(body[0].lineno - 1, body[0].end_lineno or 0)
                inside.difference_update(rows)
                for row in rows:
                    lines[row] = ""
    return "\n".join(line.rstrip() for row, line in enumerate(lines) if row in inside or line.strip())
