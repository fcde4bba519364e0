"""What a kind of ranker must know of a tokenizer beside token ids: its mask, its marks, how it joins two texts."""

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankscale.core.errors import StudyError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer beside the token ids in a folder. Raises StudyError if it is not there."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises plain exceptions
        raise StudyError(f"{folder}/tokenizer.json: cannot be read ({error}); remake it with tokenize") from error


def mask_token(folder: Path) -> int:
    """The id of the token that stands for a hidden one. Raises StudyError for a tokenizer without."""
    path = folder / "tokenizer_config.json"
    try:
        token = json.loads(path.read_text(encoding="utf-8")).get("mask_token")
    except (OSError, ValueError, AttributeError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); remake it with tokenize") from error
    text = token.get("content") if isinstance(token, dict) else token
    found = read_tokenizer(folder).token_to_id(text) if text else None
    if found is None:
        raise StudyError(f"ranker.query_fill: the tokenizer in {folder} has no mask token to fill queries with")
    return found


def pair_frame(folder: Path) -> dict[str, Any]:
    """What the tokenizer puts around two texts, seen by joining two: the fields of PairFrame, by name."""
    joined = read_tokenizer(folder).encode("a", "b")
    side = joined.sequence_ids
    places = [[i for i, own in enumerate(side) if own == which] for which in (0, 1)]
    if not all(places):
        raise StudyError(f"{folder}/tokenizer.json: makes no pair of two texts, which a cross_encoder reads")
    (first, last), (second, end) = ((own[0], own[-1] + 1) for own in places)
    ids, types = joined.ids, joined.type_ids
    return {
        "before": ids[:first],
        "between": ids[last:second],
        "after": ids[end:],
        "types": [types[:first], types[first], types[last:second], types[second], types[end:]],
    }


def punctuation(folder: Path) -> list[int]:
    """The ids of the tokens that are one ASCII punctuation mark, ascending."""
    tokenizer = read_tokenizer(folder)
    found = (tokenizer.token_to_id(mark) for mark in string.punctuation)
    return sorted(token for token in found if token is not None)
