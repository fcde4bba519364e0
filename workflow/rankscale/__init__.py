"""rankscale: scaling studies of neural ranking models.

`decompose` is the metric on plain arrays; `rankscale --help` lists every stage and tool.
"""

import importlib

# Imported when they are asked for: the Snakefile's parse, in every cluster job, needs none of them, nor NumPy.
_HOMES = {
    "Decomposition": "rankscale.evaluation.decomposition",
    "StudyError": "rankscale.core.errors",
    "decompose": "rankscale.evaluation.decomposition",
    "pseudo_values": "rankscale.evaluation.decomposition",
}
__all__ = ["Decomposition", "StudyError", "decompose", "pseudo_values"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The public name `name` (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
