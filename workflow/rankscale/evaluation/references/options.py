"""What the stage `refer` is told; and the reference lines that a study can have, by name.

Imported by the Snakefile, so nothing heavy here.
"""

from dataclasses import dataclass

from rankscale.core.cli import at_least, within
from rankscale.core.metrics import CORRECTIONS, TIES
from rankscale.core.options import option

BM25, MINER, RANDOM, UNTRAINED, RUN = "bm25", "miner", "random", "untrained", "run"
KINDS = (BM25, MINER, UNTRAINED, RANDOM, RUN)
# Of bm25s: how often a word stands in a text counts as Lucene has it, as Robertson and Spärck Jones, as ATIRE, ...
METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+")
STOP_WORDS = ("english", "none")


@dataclass(frozen=True)
class ReferOptions:
    """A ranking that a study trains nothing for, and how it is measured."""

    kind: str = option(BM25, choices=KINDS, help="what ranks")
    k1: float = option(1.5, read=within(0, 1e6), help="of BM25: how fast a word's repetitions stop counting")
    b: float = option(0.75, read=within(0, 1), help="of BM25: how far the length of a document counts")
    method: str = option("lucene", choices=METHODS, help="of BM25: its variant, as bm25s names it")
    stop_words: str = option("english", choices=STOP_WORDS, help="of BM25: words left out, bm25s's list")
    top_k: int | None = option(None, read=at_least(1), help="depth of the run; without it there is none")
    split: str = option("test", help="of a run in TREC's format: which test set it is of")
    seed: int = option(7, help="of random rankings")
    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")
    correction: str = option("jackknife", choices=CORRECTIONS, help="of the parts' sampling bias")
    retrieval: str = option("full", choices=["full", "pooled"], help="what the run searched")
    threads: int = option(1, help="of torch and FAISS; another number gives other rounding")
    device: str = option("auto", help="auto, cpu or cuda", in_result=False)
