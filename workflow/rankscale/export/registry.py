"""The kinds of ranker that can be taken along, by name: a kind of ranker that is added gets a line here.

A writer puts all files of one model but its card into a folder, so that the library that it names loads them and
scores as our own code does.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rankscale.core.errors import StudyError
from rankscale.export.bi_encoder import USE, write_bi_encoder
from rankscale.models.base import Ranker

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Writer = Callable[[Ranker, dict[str, Any], "PreTrainedTokenizerFast", Path], None]


class Exporter(NamedTuple):
    """How one kind of ranker leaves: `write(model, facts, tokenizer, folder)`, and what its card says.

    `library`, `pipeline` and `tags` are the hub's words for it; `use` is Python code, with `{folder}` in the place of
    the model's name.
    """

    write: Writer
    library: str
    pipeline: str
    tags: tuple[str, ...]
    scores: str
    use: str


EXPORTERS = {
    "bi_encoder": Exporter(
        write_bi_encoder,
        "sentence-transformers",
        "sentence-similarity",
        ("sentence-transformers", "feature-extraction"),
        "the inner product of a query's and a passage's vector",
        USE,
    ),
}


def exporter_of(kind: str) -> Exporter:
    """The exporter of a kind of ranker. Raises StudyError where there is none."""
    if kind not in EXPORTERS:
        raise StudyError(f"a ranker of kind {kind} cannot be exported; these can: {', '.join(EXPORTERS)}")
    return EXPORTERS[kind]
