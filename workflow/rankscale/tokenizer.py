"""Tokenizers: trained on a collection or a model's own; and texts as token ids."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from rankscale import tables
from rankscale.command import progress
from rankscale.errors import StudyError
from rankscale.store import Special

# No model here reads more; what is longer is cut when it is read, at each model's own length.
LONGEST = 512
BATCH = 10_000


def train_wordpiece(texts: list[str], vocabulary: int, folder: Path) -> None:
    """Train an uncased WordPiece vocabulary on `texts` and save it as a BERT tokenizer in `folder`."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizer

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(texts, vocab_size=vocabulary, show_progress=False)
    # By frequency rank alone the ids would follow hash order among equals; sorting fixes them.
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = special + sorted(set(trained.get_vocab()) - set(special))
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True).save_pretrained(folder)


def load(name: str | Path):  # noqa: ANN201 (a class of transformers, imported late)
    """The fast tokenizer of a hub id or folder. Raises StudyError if it cannot be had."""
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(str(name))
    except (OSError, ValueError) as error:
        raise StudyError(f"tokenizer {name}: cannot be loaded ({str(error).splitlines()[0]})") from error
    if not loaded.is_fast:
        raise StudyError(f"tokenizer {name}: has no fast version, which the workflow needs")
    return loaded


def ids_of(tokenizer, texts: list[str], unit: str) -> pa.ListArray:  # noqa: ANN001
    """Token ids of each text without special tokens, at most LONGEST: a list of int32 per text."""
    flat, lengths = [], []
    for start in progress(range(0, len(texts), BATCH), f"tokenize {unit}", "batch"):
        made = tokenizer(
            texts[start : start + BATCH],
            add_special_tokens=False,
            truncation=True,
            max_length=LONGEST,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        lengths.append(np.fromiter(map(len, made), np.int64, len(made)))
        flat.append(np.fromiter((i for ids in made for i in ids), np.int32, int(lengths[-1].sum())))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate(flat), type=tables.SCHEMAS["tokens"].field("ids").type)


def frame(tokenizer) -> Special:  # noqa: ANN001
    """What the tokenizer puts around a text, seen by tokenizing one with and without."""
    around, inside = (tokenizer("a", add_special_tokens=s)["input_ids"] for s in (True, False))
    at = next((i for i in range(len(around)) if around[i : i + len(inside)] == inside), 0)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return Special(around[:at], around[at + len(inside) :], pad or 0, len(tokenizer))
