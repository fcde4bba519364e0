"""rankscale: scaling studies of neural ranking models.

`decompose` is the metric on plain arrays, `calibrate` frees its losses from the scale of scores; `rankscale --help`
lists every stage and tool.
"""

import importlib

# Imported when they are asked for: the Snakefile's parse, in every cluster job, needs none of them, nor NumPy.
_HOMES = {
    "Calibration": "rankscale.evaluation.calibration",
    "Decomposition": "rankscale.evaluation.decomposition",
    "StudyError": "rankscale.core.errors",
    "calibrate": "rankscale.evaluation.calibration",
    "decompose": "rankscale.evaluation.decomposition",
    "pseudo_values": "rankscale.evaluation.decomposition",
}
__all__ = ["Calibration", "Decomposition", "StudyError", "calibrate", "decompose", "pseudo_values"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The public name `name` (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
