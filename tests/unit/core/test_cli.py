"""What users read: complaints reach the log, and an ASCII terminal ends no result."""

import os
import subprocess
import sys

import pytest

from rankscale.core.errors import StudyError
from rankscale.core.paths import WORKFLOW
from rankscale.storage import tables

SIZES = [1e5 * 3**i for i in range(8)]


def rankscale(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "rankscale", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(WORKFLOW), **environment},
    )


def test_a_command_line_that_cannot_be_read_is_in_the_log(tmp_path):
    log = tmp_path / "logs" / "score.log"
    done = rankscale("score", "--log", log, "--nonsense", cwd=tmp_path)
    assert done.returncode == 2
    assert "--observations" in log.read_text() and len(log.read_text().splitlines()) == 1


def test_an_ascii_terminal_gets_its_table_and_the_file_is_written(tmp_path):
    table = tmp_path / "runs.csv"
    table.write_text("N,loss\n" + "".join(f"{n},{1 + (1e6 / n) ** 0.3}\n" for n in SIZES))
    options = ("--metric", "loss", "--size", "N", "--law", "floor", "--bootstrap", "100", "--output", "fit.parquet")
    done = rankscale("fit-table", table, *options, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"alpha        0.3" in done.stdout
    fits = tables.read("fits", tmp_path / "fit.parquet")
    estimates = dict(zip(fits["parameter"].to_pylist(), fits["estimate"].to_pylist(), strict=True))
    assert estimates["alpha"] == pytest.approx(0.3, rel=1e-3)


def test_settings_that_are_no_json_are_refused_in_one_line(tmp_path):
    done = rankscale("collect", "--settings", "{", "--output", "x", "--log", "log.txt", cwd=tmp_path)
    assert done.returncode == 2 and "--settings" in (tmp_path / "log.txt").read_text()


def test_what_an_error_quotes_stays_on_its_line_and_can_be_written_to_any_log():
    assert str(StudyError("key a\nb\x1b[31m \ud800 é")) == r"key a\nb\x1b[31m \ud800 é"


def test_a_line_of_the_log_neither_floods_nor_steers_a_terminal(tmp_path):
    rows = [f"d{i}\tpassage \x1b[31m{i}\n" for i in range(3)]
    (tmp_path / "c.tsv").write_text(f"docid\ta\x1b[2J{'x' * 100_000}\n" + "".join(rows))
    for name in "qj":
        (tmp_path / name).write_text("")
    files = '{"corpus": "c.tsv", "queries": {"train": "q", "test": "q"}, "qrels": {"train": "j", "test": "j"}}'
    done = rankscale("collect", "--source", "tsv", "--files", files, "--output", "o", cwd=tmp_path)
    assert done.returncode == 1
    assert max(map(len, done.stderr.splitlines())) < 5000
    assert b"\x1b" not in done.stderr and b"\\x1b[2J" in done.stderr
