"""The options of a model that is evaluated as it is: its command line, its defaults.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass
from pathlib import Path

from rankscale.core.cli import at_least, positive
from rankscale.core.options import option
from rankscale.models.options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class AdoptOptions(ModelOptions):
    """A run without training. What a released checkpoint says of pooling, length and prefixes goes before these."""

    tokens: Path = option(in_result=False, help="folder of token ids")
    output_dim: int = option(0, read=at_least(0), help="of a new head; 0: none, the pooled states are the vectors")
    inverse_temperature: float = option(1.0, read=positive, help="multiplies the scores in the loss")
    output: Path = option(in_result=False, help="folder of the run")
