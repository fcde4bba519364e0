"""Tokenizers: trained on a collection or a model's own; and texts as token ids."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.storage import schemas
from rankscale.text.token_store import SpecialTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast  # it takes seconds to import

# No model here reads more; what is longer is cut when it is read, at each model's own length.
LONGEST = 512
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORD = re.compile(r"[^\W_]+|[^\w\s]|_")  # what BERT takes for a word: letters and digits, or one mark
INNER = 0xF0000  # where Unicode's private planes begin
LONGEST_WORD = 100  # letters; BERT's tokenizer makes [UNK] of a longer one, and merging takes their square
LAST = "\ufffd"  # a character beyond the first plane has no private twin; words with one are left out


def train_wordpiece(texts: Iterable[str], vocabulary: int, folder: Path) -> None:
    """Train an uncased WordPiece vocabulary on `texts` and save it as a BERT tokenizer in `folder`."""
    from transformers import BertTokenizer

    vocab = [*SPECIAL, *wordpieces(texts, vocabulary - len(SPECIAL))]
    BertTokenizer(vocab={word: i for i, word in enumerate(vocab)}, do_lower_case=True).save_pretrained(folder)


def wordpieces(texts: Iterable[str], size: int) -> list[str]:
    """At most `size` pieces, sorted: single characters and the merges that occur most, as in BERT's WordPiece.

    Reads the texts one by one; memory grows with the number of different words.

    The library's own WordPiece trainer numbers the pieces within a word by the order of a hash map, and that decides
    equal counts: another process gets another vocabulary. Its pair-merging trainer is reproducible, but knows no inner
    pieces; so every character within a word is moved to a private code point and moved back afterwards.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    normal = normalizers.BertNormalizer(lowercase=True)
    counts: Counter[str] = Counter()
    for text in progress(texts, "count words", "text"):
        counts.update(word for word in WORD.findall(normal.normalize_str(text)) if len(word) <= LONGEST_WORD)
    merged = Tokenizer(models.BPE())
    merged.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # A word as often as it occurs, in one text: one call per word is dear, one per occurrence dearer.
    repeated = (" ".join([_inward(word)] * counts[word]) for word in sorted(counts) if max(word) <= LAST)
    merged.train_from_iterator(repeated, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    return sorted("".join(_outward(c, i) for i, c in enumerate(piece)) for piece in merged.get_vocab())


def _inward(word: str) -> str:
    return word[0] + "".join(chr(ord(c) + INNER) for c in word[1:])


def _outward(character: str, position: int) -> str:
    if ord(character) < INNER:
        return character
    return ("" if position else "##") + chr(ord(character) - INNER)


def load(name: str | Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of a hub id or folder. Raises StudyError if it cannot be had."""
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(str(Path(name).expanduser()))
    except Exception as error:  # transformers, tokenizers and the hub each raise what they like
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StudyError(f"tokenizer {name}: cannot be loaded ({first}); check the name, or bring it here") from error
    if not loaded.is_fast:
        raise StudyError(f"tokenizer {name}: has no fast version, which the workflow needs")
    if len(loaded) <= len(loaded.all_special_tokens):
        # Transformers makes an empty one of a folder without its files, and every word would be unknown.
        raise StudyError(
            f"tokenizer {name}: knows no words; bring its files there, or name another as the model's tokenizer"
        )
    return cast("PreTrainedTokenizerFast", loaded)  # what is_fast says, without the import


def ids_of(tokenizer: "PreTrainedTokenizerFast", texts: list[str]) -> pa.ListArray:
    """Token ids of each text without special tokens, at most LONGEST: a list of int32 per text."""
    fast = tokenizer.backend_tokenizer
    fast.enable_truncation(LONGEST)
    fast.no_padding()
    # The "fast" batch leaves out where each token stands in its text, which nothing here needs.
    ids = [encoding.ids for encoding in fast.encode_batch_fast(texts, add_special_tokens=False)]
    offsets = np.concatenate([[0], np.cumsum(np.fromiter(map(len, ids), np.int64, len(ids)))])
    flat = np.fromiter(chain.from_iterable(ids), np.int32, int(offsets[-1]))
    kind = schemas.SCHEMAS["tokens"].field("ids").type
    return pa.ListArray.from_arrays(offsets.astype(np.int32), flat, type=kind)


def special_tokens_of(tokenizer: "PreTrainedTokenizerFast") -> SpecialTokens:
    """What the tokenizer puts around a text, seen by tokenizing one with and without."""
    around, inside = (tokenizer("a", add_special_tokens=s)["input_ids"] for s in (True, False))
    start = next((i for i in range(len(around)) if around[i : i + len(inside)] == inside), 0)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return SpecialTokens(around[:start], around[start + len(inside) :], pad or 0, len(tokenizer))
