"""Which modules a stage is made of, and a digest of what they do."""

import ast
import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def modules(stage: str) -> tuple[str, ...]:
    """The project's modules that `stage` imports, itself first, the others by name."""
    found, waiting = [], [stage]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        for node in ast.walk(_tree(name)):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("rankscale"):
                continue
            below = node.module.partition(".")[2]
            names = [below] if below else [alias.name for alias in node.names]
            waiting += [n for n in names if (HERE / f"{n}.py").exists()]
    return found[0], *sorted(found[1:])


@cache
def digest(stage: str) -> str:
    """A hash of the code of `stage`; comments, docstrings and layout do not count."""
    code = "\n".join(ast.dump(_without_docstrings(name)) for name in modules(stage))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))


def _without_docstrings(name: str) -> ast.Module:
    tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body.pop(0)
    return tree
