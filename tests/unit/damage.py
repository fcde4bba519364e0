"""Configs and files harmed at random, and what may come of them: a right result or a StudyError, nothing else."""

import argparse
import copy
import gzip
import io
import shlex
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import yaml
from hypothesis import strategies as st

from rankscale.collection import readers
from rankscale.core.errors import StudyError
from rankscale.core.layout import Layout
from rankscale.evaluation import result_archives, trec_format
from rankscale.laws import external_table
from rankscale.search import vector_shards
from rankscale.stages import (
    collect,
    encode,
    fit,
    mine,
    plan,
    retrieve,
    sample,
    score,
    subsample,
    summarize,
    tokenize,
    train,
)
from rankscale.storage import tables
from rankscale.study import config, config_file, grid, stage_arguments
from tests.conftest import ROOT

BASE = config.check_config(
    yaml.safe_load((ROOT / "config.yaml").read_text())
    | {"plan": {"budget": 100, "prices": {"device_hour": 1, "judged_query": 0.05}}}
)
ODD_WORDS = (
    *("", " ", "x" * 300, "a\n", "$(id)", "~nouser/x", "./none", "a\0b", "\ud800", "é", "{x}", "../x", "1e-3", "null"),
    *("-", "--log", "'", "all", "every", "largest", "judged+mined+9", "lsa", "beir", "tsv", "rank_entropy", "1-mrr"),
)
ODD_NUMBERS = (
    *(0, -1, 1, 2, 3, 32, 100, 1000, 2**31 - 1, 2**31, 2**62, 2**63, 10**30, 10**400, 0.5, 1.0, 3.0, 1e-320, 1e6, 1e30),
    *(1e30 * 1.01, 1e308, float("inf"), float("nan")),
)
WORDS, NUMBERS = st.sampled_from(ODD_WORDS), st.sampled_from(ODD_NUMBERS) | st.floats(0, 2)
PLAIN = NUMBERS | WORDS | st.sampled_from([None, True, False, b"x"])
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | NUMBERS, inner, max_size=2), max_leaves=4
)
STAGES = {
    **{"collect": collect, "encode": encode, "mine": mine, "sample": sample, "retrieve": retrieve, "score": score},
    **{"subsample": subsample, "fit": fit, "plan": plan, "summarize": summarize},
}


def ways(value: Any, way: tuple = ()) -> list[tuple]:
    """The way to every value within a config."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(below for key, part in parts for below in ways(part, (*way, key)))]


@st.composite
def configs(draw) -> dict[str, Any]:
    """A config with one to three of its values exchanged, taken away, doubled, or given a neighbour."""
    study = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(ways(study)[1:]))
        at: Any = study
        for key in way[:-1]:
            at = at[key]
        deed = draw(st.sampled_from(["exchange"] * 6 + ["remove", "add"]))
        if deed == "exchange":
            at[way[-1]] = draw(VALUES)
        elif deed == "remove":
            del at[way[-1]]
        elif isinstance(at, list):
            at.append(draw(VALUES | st.sampled_from(at)))
        else:
            at[draw(WORDS | NUMBERS)] = draw(VALUES)
        if not ways(study)[1:]:
            break
    return study


def check_config(study: dict[str, Any]) -> bool:
    """Whether a config is accepted: then the rules find what they need, and each stage takes its words."""
    try:
        study = config.check_config(study)
    except StudyError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000, error
        return False
    Layout.of(study)
    assert list(grid.runs(study)) and grid.checkpoints(study) is not None
    for model in study["models"]:
        _, source = grid.tokenizer_of(study, model)
        read(train, stage_arguments.train(study, model["name"]))
        read(tokenize, stage_arguments.tokenize(study, study["tokenizer"]["name"], source))
    for name, stage in STAGES.items():
        if name != "plan" or study["plan"]:
            read(stage, getattr(stage_arguments, name)(study))
    return True


def read(stage: Any, words: str) -> argparse.Namespace:
    """A stage's command line, with what the rule adds; a StudyError here is a fault, for the config was accepted."""
    parser, arguments = stage.arguments(), shlex.split(words)
    for action in parser._actions:
        if action.required and not set(action.option_strings) & set(arguments):
            arguments += [action.option_strings[-1], "1"]
    try:
        return parser.parse_args(arguments)
    except StudyError as error:
        raise AssertionError(f"{parser.prog} refuses what the schema takes: {error}") from error


class Kind(NamedTuple):
    """A kind of file: its name and content, how it is read, and whether a harm that is not noticed is a fault."""

    name: str
    content: bytes
    read: Any
    protected: bool


LINES = [f"d{i}\ttext of {i} with words" for i in range(300)]


def packed(kind: str) -> bytes:
    """The lines in an archive."""
    raw, text = io.BytesIO(), "\n".join(LINES).encode()
    if kind == "gz":
        return gzip.compress(text, mtime=0)
    if kind.startswith("zip"):
        method = {"zip": zipfile.ZIP_DEFLATED, "zip.lzma": zipfile.ZIP_LZMA, "zip.bz2": zipfile.ZIP_BZIP2}[kind]
        with zipfile.ZipFile(raw, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("corpus.tsv"), text, method)
    else:
        with tarfile.open(fileobj=raw, mode=f"w:{kind.removeprefix('tar.')}") as tape:
            entry = tarfile.TarInfo("corpus.tsv")
            entry.size = len(text)
            tape.addfile(entry, io.BytesIO(text))
    return raw.getvalue()


def table(folder: Path) -> bytes:
    """A table of 300 judgments."""
    ids = [f"d{i}" for i in range(300)]
    columns = {"split": "test", "query_id": ids, "doc_id": ids, "row": np.arange(300), "grade": 1, "positive": True}
    tables.write("qrels", columns, folder / "original.parquet")
    return (folder / "original.parquet").read_bytes()


def vectors(folder: Path) -> bytes:
    """A shard of 300 vectors."""
    values = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    with vector_shards.shard_writer(folder / "original.parquet", 8, {"encoder": {"name": "e"}}) as write:
        write(pa.array([f"d{i}" for i in range(300)]), values)
    return (folder / "original.parquet").read_bytes()


def vectors_of(path: Path) -> Any:
    ids, values = vector_shards.read_shard(path)
    return ids.to_pylist(), values.tolist()


def archive() -> bytes:
    """A result archive of 200 queries."""
    raw, random = io.BytesIO(), np.random.default_rng(0)
    np.savez(raw, rank=random.integers(0, 9, 200), loss=random.random(200), qids=np.arange(200))
    return raw.getvalue()


def lines_of(member: str = "") -> Any:
    return lambda path: [line for line, _ in readers.lines(Path(f"{path}{member}"))]


def study_of(path: Path) -> Any:
    return config.check_config(config_file.load_config_file(path))


def runs_of(path: Path) -> Any:
    return external_table.numbers(external_table.read(path), "loss", "--metric", path).tolist()


def kinds(folder: Path) -> list[Kind]:
    """Every kind of file that is read from outside. Text has no checksum: there only the way to fail is looked at."""
    csv = "N,loss\n" + "".join(f"{10**i},{1 + 2.0**-i}\n" for i in range(1, 9))
    trec = "".join(f"q{i} Q0 d{j} {j + 1} {9 - j} tag\n" for i in range(5) for j in range(9))
    return [
        Kind("t.parquet", table(folder), lambda path: tables.read("qrels", path).to_pylist(), True),
        Kind("s.parquet", table(folder), lambda path: [t.to_pylist() for t in tables.scan("qrels", path)], True),
        Kind("v.parquet", vectors(folder), vectors_of, True),
        Kind("a.npz", archive(), lambda path: [part.tolist() for part in result_archives.read(path)], True),
        Kind("a.tsv.gz", packed("gz"), lines_of(), True),
        *(Kind(f"{k}.zip", packed(k), lines_of("!corpus.tsv"), True) for k in ("zip", "zip.lzma", "zip.bz2")),
        *(Kind(f"a.{k}", packed(k), lines_of("!corpus.tsv"), True) for k in ("tar.gz", "tar.bz2", "tar.xz")),
        Kind("runs.csv", csv.encode(), runs_of, False),
        Kind("trec.txt", trec.encode(), lambda path: trec_format.read_trec(path, {}), False),
        Kind("q.tsv", "\n".join(LINES).encode(), lambda path: list(readers.document_lines(path)), False),
        Kind("study.yaml", (ROOT / "config.yaml").read_bytes(), study_of, False),
    ]


@st.composite
def harms(draw) -> list[tuple[str, float, int]]:
    """One to three deeds, each with where (a share of the length) and how much."""
    deeds = st.sampled_from(["bit"] * 4 + ["zero", "cut", "drop", "double", "noise"])
    # The ends of files hold what archives and tables are read by.
    where = st.floats(0, 1, exclude_max=True) | st.floats(0.97, 1, exclude_max=True) | st.floats(0, 0.02)
    return draw(st.lists(st.tuples(deeds, where, st.integers(0, 255)), min_size=1, max_size=3))


def harmed(content: bytes, deeds: list[tuple[str, float, int]]) -> bytes:
    """The content after the deeds."""
    raw = bytearray(content)
    for deed, where, much in deeds:
        at, end = int(where * len(raw)), int(where * len(raw)) + much + 1
        if deed == "bit" and raw:
            raw[at] ^= 1 << much % 8
        elif deed == "cut":
            del raw[at:]
        elif deed == "drop":
            del raw[at:end]
        elif deed == "double":
            raw[at:at] = raw[at:end]
        elif deed in ("zero", "noise"):
            size = len(raw[at:end])
            raw[at:end] = bytes(size) if deed == "zero" else np.random.default_rng(much).bytes(size)
    return bytes(raw)


def check_file(kind: Kind, deeds: list[tuple[str, float, int]], folder: Path) -> bool:
    """Whether a harmed file is read: then to what it held, where its kind has a checksum."""
    path = folder / kind.name
    path.write_bytes(harmed(kind.content, deeds))
    try:
        result = kind.read(path)
    except StudyError as error:
        assert kind.name.split(".")[0] in str(error) or not kind.protected, error
        return False
    if kind.protected:
        (folder / f"whole-{kind.name}").write_bytes(kind.content)
        assert result == kind.read(folder / f"whole-{kind.name}"), f"{kind.name}: other values, and no word"
    return True
