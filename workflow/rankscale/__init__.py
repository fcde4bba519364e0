"""rankscale: scaling studies of neural ranking models.

`decompose` is the metric on plain arrays; every stage of the workflow is `python -m rankscale.<stage>`.
"""

from rankscale.core.errors import StudyError
from rankscale.evaluation.decomposition import Decomposition, decompose, pseudo_values

__all__ = ["Decomposition", "StudyError", "decompose", "pseudo_values"]
__version__ = "0.1.0"
