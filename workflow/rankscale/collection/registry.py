"""The sources that a collection can come from: one line each."""

import difflib

from rankscale.collection.base import SourceKind
from rankscale.collection.beir import BEIR
from rankscale.collection.docstrings import DOCSTRINGS
from rankscale.collection.ir_datasets_source import IR_DATASETS
from rankscale.collection.msmarco import MSMARCO_PASSAGE
from rankscale.collection.tsv_files import TSV_FILES
from rankscale.core.errors import StudyError

SOURCES: dict[str, SourceKind] = {
    kind.name: kind
    for kind in (
        DOCSTRINGS,
        MSMARCO_PASSAGE,
        BEIR,
        TSV_FILES,
        IR_DATASETS,
    )
}


def source_kind(name: str) -> SourceKind:
    """The source that `collection.source` names. Raises StudyError if there is none."""
    if name not in SOURCES:
        close = difflib.get_close_matches(name, SOURCES, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(SOURCES)}"
        raise StudyError(f"collection.source: {name} is no source; {hint}")
    return SOURCES[name]
