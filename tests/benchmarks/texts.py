"""Two million passages from a TSV file to token ids, against a bare loop of the tokenizers library over the same texts.

python -m tests.benchmarks.texts [passages]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rankscale.collection import docstrings
from rankscale.text.tokenizers import train_wordpiece
from tests.benchmarks.measure import ROOT, Clock, part, report, table

PASSAGES, WORDS, BATCH = 2_000_000, 38, 10_000  # some 77 tokens, as an average passage of MS MARCO
ME = "tests.benchmarks.texts"


def generate(folder: Path, passages: int) -> None:
    """A TSV collection of words drawn as often as docstrings use them, with one judged query."""
    pairs = docstrings.harvest()
    train_wordpiece([p.passage for p in pairs], 8000, folder / "vocabulary")
    words = np.array([w for p in pairs for w in p.passage.split() if "\0" not in w], dtype=object)
    random = np.random.default_rng(0)
    with open(folder / "corpus.tsv", "w") as out:
        for start in range(0, passages, 10_000):
            drawn = words[random.integers(len(words), size=(min(10_000, passages - start), WORDS))]
            out.writelines(f"{start + i}\t{' '.join(row)}\n" for i, row in enumerate(drawn))
    (folder / "queries.tsv").write_text("q\ta query\n")
    (folder / "qrels.tsv").write_text("q\t0\t1\t1\n")
    report()


def stage(name: str, *arguments: object) -> dict[str, float]:
    """Seconds and peak memory of one stage as a whole process."""
    start = time.monotonic()
    command = [sys.executable, "-m", f"rankscale.{name}", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return {"seconds": time.monotonic() - start, "peak MB": used.ru_maxrss / 1024}


def bare(folder: Path) -> None:
    """The peer: every text in memory, nothing kept of what comes out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "vocabulary/tokenizer.json"))
    with open(folder / "corpus.tsv") as file:
        texts = [line.partition("\t")[2].rstrip("\n") for line in file]
    with Clock() as clock:
        for start in range(0, len(texts), BATCH):
            tokenizer.encode_batch(texts[start : start + BATCH], add_special_tokens=False)
    report(seconds=clock.seconds)


def main(passages: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        part(ME, "generate", folder, passages)  # a process of its own: a child's peak counts what its parent held
        files = f'{{"corpus": "{folder}/corpus.tsv", "queries": {{"train": "{folder}/queries.tsv"}}, '
        files += f'"qrels": {{"train": "{folder}/qrels.tsv"}}}}'
        collected = stage("collect", "--source", "tsv", "--files", files, "--output", folder / "out")
        vocabulary, tokens = folder / "vocabulary", folder / "out/tokens"
        tokenized = stage("tokenize", "--collection", folder / "out", "--tokenizer", vocabulary, "--output", tokens)
        peer = part(ME, "bare", folder)["seconds"]
        both = {
            "seconds": collected["seconds"] + tokenized["seconds"],
            "peak MB": max(collected["peak MB"], tokenized["peak MB"]),
        }
        rows = [
            {"what": what, **usage, "texts/s": passages / usage["seconds"], "of the bare loop": peer / usage["seconds"]}
            for what, usage in (
                ("tokenizers encode_batch, texts in memory", {"seconds": peer, "peak MB": None}),
                ("collect", collected),
                ("tokenize", tokenized),
                ("collect and tokenize", both),
            )
        ]
        table(f"{passages} passages of {WORDS} words", rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        {"bare": bare, "generate": generate}[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else PASSAGES)
