"""The embedded collection: docstrings of installed, pinned packages; no download, nothing redistributed.

A query is a docstring's first sentence, its one relevant passage the name, signature and rest of that docstring.
"""

import ast
import importlib.metadata
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rankscale.collection import readers
from rankscale.collection.base import Source, SourceKind
from rankscale.collection.options import CollectOptions
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress

# Fixed, and the same for every lock: the collection must not change with the machine. So nothing of the
# standard library (it differs by Python version) and not torch (its CPU and GPU builds differ).
PACKAGES = (
    "fonttools",
    "huggingface-hub",
    "matplotlib",
    "narwhals",
    "networkx",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "SQLAlchemy",
    "statsmodels",
)
# Of other fields: a test set that is out of the domain of those above, and has none of their queries.
OTHER_PACKAGES = (
    "docutils",
    "fsspec",
    "GitPython",
    "mpmath",
    "pillow",
    "pydantic",
    "Pygments",
    "rich",
    "sympy",
    "traitlets",
)
BY_NAME = {None: PACKAGES, "other": OTHER_PACKAGES}
QUERY_WORDS = range(4, 31)
PASSAGE_WORDS = 15
# Sources are parsed as this version's grammar, whichever Python runs.
GRAMMAR = (3, 11)
# Tests, and what a wheel holds for some versions of Python only or generates when it is built.
LEFT_OUT = {"tests", "testing", "test", "distutils", "__config__.py", "_version.py", "version.py"}
SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|\n\s*\n)", re.DOTALL)


class Pair(NamedTuple):
    """One query and the passage that answers it; `name` is unique and says where it stands."""

    name: str
    query: str
    passage: str


def read(options: CollectOptions, folder: Path) -> Source:
    """The embedded collection, its queries dealt by `seed` into test, dev and train.

    Pairs for dev and train that are too similar to one for test are left out, passage and all; the manifest says how
    many. Raises StudyError if there are too few pairs.
    """
    from rankscale.core.seeding import generator  # numpy, which the Snakefile does without

    packages = BY_NAME[options.packages]
    pairs = harvest(packages)
    if options.sample and options.sample > len(pairs):
        raise StudyError(f"collection.sample: {options.sample} pairs asked for, docstrings has {len(pairs)}")
    if options.sample:
        kept = generator(options.seed, "sample").permutation(len(pairs))[: options.sample]
        pairs = [pairs[i] for i in sorted(kept)]
    test, dev = options.test_queries, options.dev_queries
    if test + dev >= len(pairs):
        raise StudyError(
            f"collection.test_queries + collection.dev_queries: {test} + {dev} leave no training query of "
            f"{len(pairs)} pairs"
        )
    split_of = ["train"] * len(pairs)
    for rank, i in enumerate(generator(options.seed, "split").permutation(len(pairs))[: test + dev]):
        split_of[i] = "test" if rank < test else "dev"
    facts: dict[str, object] = {"versions": versions(packages)}
    if options.max_test_similarity is not None:
        is_kept = _unlike_test(pairs, split_of, options.max_test_similarity)
        left_out = Counter(split for split, kept in zip(split_of, is_kept, strict=True) if not kept)
        facts["left_out_as_similar"] = {split: left_out[split] for split in ("train", "dev")}
        log.info(
            "left out, as more similar than %g to a test pair: %d training and %d dev pairs",
            *(options.max_test_similarity, left_out["train"], left_out["dev"]),
        )
        pairs = [pair for pair, kept in zip(pairs, is_kept, strict=True) if kept]
        split_of = [split for split, kept in zip(split_of, is_kept, strict=True) if kept]
        if "train" not in split_of:
            raise StudyError(
                f"collection.max_test_similarity: {options.max_test_similarity:g} leaves no training query"
            )
    judged: dict[str, list[readers.Judgment]] = {"train": [], "dev": [], "test": []}
    for pair, split in zip(pairs, split_of, strict=True):
        judged[split].append(readers.Judgment(f"q:{pair.name}", pair.name, 1, pair.name))
    return Source(
        (readers.Text(pair.name, "", pair.passage, pair.name) for pair in pairs),
        (readers.Text(f"q:{pair.name}", "", pair.query, pair.name) for pair in pairs),
        judged,
        facts,
    )


def _unlike_test(pairs: list[Pair], split_of: list[str], limit: float) -> list[bool]:
    """Whether each pair is for test, or no more similar than `limit` to any that is."""
    from rankscale.collection.near_duplicates import largest_similarity  # scikit-learn, which nothing else here needs

    texts = [f"{pair.query} {pair.passage}" for pair in pairs]
    test = [text for text, split in zip(texts, split_of, strict=True) if split == "test"]
    rest = [text for text, split in zip(texts, split_of, strict=True) if split != "test"]
    similarity = iter(largest_similarity(rest, test).tolist())
    return [split == "test" or next(similarity) <= limit for split in split_of]


def splits(path: None) -> set[str]:
    """Those that the queries are dealt into."""
    return {"train", "dev", "test"}


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The installed version of each package. Raises StudyError if one is not installed."""
    by_package = {}
    for package in packages:
        try:
            by_package[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise StudyError(
                f"collection docstrings: package {package} is not installed; run `make environment`"
            ) from None
    return by_package


def harvest(packages: Sequence[str] = PACKAGES) -> list[Pair]:
    """All pairs in a fixed order (package, file, line), the first of equal queries or equal passages kept."""
    queries, passages, names, pairs = set(), set(), set(), []
    for package in progress(packages, "collect docstrings", "package"):
        for pair in _of_package(package):
            query, passage = pair.query.casefold(), pair.passage.casefold()
            if query in queries or passage in passages:
                continue
            queries.add(query)
            passages.add(passage)
            # Overloads and property setters share a qualified name.
            name, n = pair.name, 1
            while name in names:
                n += 1
                name = f"{pair.name}#{n}"
            names.add(name)
            pairs.append(pair._replace(name=name))
    return pairs


def _of_package(package: str) -> Iterator[Pair]:
    files = importlib.metadata.distribution(package).files or []
    for file in sorted(files, key=str):
        if file.suffix != ".py" or LEFT_OUT & set(file.parts):
            continue
        try:
            source = file.read_text(encoding="utf-8")
            # Most files without a docstring are found out faster by text than by parsing.
            if '"""' not in source and "'''" not in source:
                continue
            tree = ast.parse(source, feature_version=GRAMMAR)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue  # a template or test data, not a module
        module = ".".join(file.with_suffix("").parts)
        yield from _of_body(tree, module)


def _of_body(node: ast.AST, scope: str) -> Iterator[Pair]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{scope}.{child.name}"
            doc = ast.get_docstring(child)
            if doc and (pair := _split(name, _signature(child), doc)):
                yield pair
            yield from _of_body(child, name)
        elif isinstance(child, ast.If | ast.Try):
            yield from _of_body(child, scope)


def _split(name: str, signature: str, doc: str) -> Pair | None:
    first = SENTENCE.match(doc)
    if not first:
        return None
    query = " ".join(first.group().split())
    passage = f"{signature} {' '.join(doc[first.end() :].split())}"
    if len(query.split()) not in QUERY_WORDS or len(passage.split()) < PASSAGE_WORDS:
        return None
    return Pair(name, query, passage)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    # Names only: how defaults and annotations are printed differs between Python versions.
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    a = node.args
    names = [arg.arg for arg in (*a.posonlyargs, *a.args)]
    names += [f"*{a.vararg.arg}"] if a.vararg else []
    names += [arg.arg for arg in a.kwonlyargs]
    names += [f"**{a.kwarg.arg}"] if a.kwarg else []
    return f"{node.name}({', '.join(names)})"


DOCSTRINGS = SourceKind(
    "docstrings",
    type(None),
    "null",
    read,
    splits,
    option_names=("seed", "test_queries", "dev_queries", "sample", "max_test_similarity", "packages"),
    may_be_graded=False,
)
