"""What the stage `collect` is told: where a collection comes from and how it is read.

Imported by the Snakefile, so nothing heavy here.
"""

import argparse
import json
from dataclasses import dataclass

from rankscale.core.cli import within
from rankscale.core.options import option


def read_thresholds(text: str) -> dict[str, int]:
    """A grade for all splits (under ""), or JSON {split: grade}, where the splits that it does not name take 1."""
    value = json.loads(text)
    return {"": 1, **value} if isinstance(value, dict) else {"": int(value)}


def read_files(text: str) -> dict[str, object]:
    """The JSON mapping of a tsv source's files."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"is no JSON mapping of corpus, queries and qrels ({error})") from None


@dataclass(frozen=True)
class CollectOptions:
    """The config's section `collection`; beyond source, titles and grades, each source has options of its own."""

    source: str = option("docstrings", help="one of the sources, as collection.source of a study names it")
    titles: str = option("join", choices=["join", "drop"], help="put a title before its text, or not")
    seed: int = option(1, help="of docstrings' split into train, dev and test queries")
    test_queries: int = option(1500, help="of docstrings")
    dev_queries: int = option(500, help="of docstrings, kept apart for tuning")
    sample: int | None = option(None, help="of docstrings: keep a seeded sample of so many pairs")
    packages: str | None = option(
        None, choices=["other"], help="of docstrings: other packages than the scientific ones"
    )
    max_test_similarity: float | None = option(
        None,
        read=within(0, 1, above=True),
        help="of docstrings: leave out train and dev pairs with a TF-IDF cosine above this to a test pair",
    )
    positive_grade: dict[str, int] = option(
        {"": 1}, read=read_thresholds, help="least of a relevant document, 1 unless given; or by split"
    )
    max_missing: float = option(
        0.05,
        read=within(0, 1),
        in_result=False,
        help="largest share of a split's judgments that may name queries or documents the source lacks or has empty",
    )
    files: dict | None = option(
        None, read=read_files, help="of tsv: JSON {corpus: .., queries: {split: ..}, qrels: {split: ..}}"
    )
    path: str | None = option(None, help="of beir: its folder or archive; of ir_datasets: the id of its documents")
    splits: list[str] = option(["train", "test"], help="of ir_datasets: what follows the id")
