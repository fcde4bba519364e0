"""Benchmarks measure their sides in turn, and write medians with their spread into the page."""

import re

import pytest

from tests.benchmarks import bench
from tests.benchmarks.measure import compared, in_turn, table
from tests.conftest import ROOT, run


def test_sides_take_turns_and_each_round_begins_with_another():
    order = []
    sides = {name: lambda name=name: order.append(name) or {"seconds": 1.0} for name in "abc"}
    reports = in_turn(sides, 4)
    assert "".join(order) == "abcbcacababc"
    assert {name: len(of_side) for name, of_side in reports.items()} == {"a": 4, "b": 4, "c": 4}


def test_ratios_are_those_of_the_same_round():
    # A machine twice as slow in the second round changes seconds, and no ratio.
    reports = {
        "raw": [{"seconds": 1.0}, {"seconds": 2.0}, {"seconds": 1.0}],
        "ours": [{"seconds": 1.5, "extra": 10}, {"seconds": 3.0, "extra": 30}, {"seconds": 1.2, "extra": 20}],
    }
    raw, ours = compared(reports, "raw", "times raw")
    assert raw == {"what": "raw", "seconds": "1 (1 to 2)", "times raw": "1 (1 to 1)"}
    assert ours == {"what": "ours", "seconds": "1.5 (1.2 to 3)", "times raw": "1.5 (1.2 to 1.5)", "extra": 20}
    rate = compared(reports, "ours", "ours is faster by", 6, "texts/s")
    assert [row["texts/s"] for row in rate] == ["6 (3 to 6)", "4 (2 to 5)"]


def test_the_page_takes_the_tables_machine_and_date(monkeypatch, tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text((ROOT / "docs/benchmarks.md").read_text())
    monkeypatch.setattr(bench, "PAGE", page)
    monkeypatch.setattr(bench, "measured", lambda name: f"### {name.capitalize()}\n\n| a |\n| --- |\n| 1 |\n")
    for _ in range(2):  # again: in the place of what stood there
        bench.main(["mining", "scoring"])
    text = page.read_text()
    inside = text.partition(bench.BEGINS)[2].partition(bench.ENDS)[0]
    assert re.match(r"\s*Measured on \d{4}-\d\d-\d\d: \d+ x .+ GB, Linux, CPython .*torch \d", inside)
    assert inside.count("### Mining") == inside.count("### Scoring") == 1
    assert text.partition(bench.BEGINS)[0] == (ROOT / "docs/benchmarks.md").read_text().partition(bench.BEGINS)[0]
    with pytest.raises(SystemExit, match="lacks the marks"):
        bench.between("no marks", "text")


def test_a_table_goes_to_the_file_too(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "tables.md"))
    table("Title", [{"what": "a", "seconds": "1 (1 to 2)"}])
    assert "| a      | 1 (1 to 2) |" in (tmp_path / "tables.md").read_text()
    assert "Title" in capsys.readouterr().out


def test_make_bench_installs_what_the_benchmarks_import():
    planned = run("make -n bench", ROOT).stdout
    assert "envs/requirements-bench.in" in planned
    assert "tests.benchmarks.bench" in planned
    named = set(re.findall(r"^[\w-]+", (ROOT / "envs/requirements-bench.in").read_text(), re.MULTILINE))
    # What tests.conftest needs, and what transformers' Trainer asks for when it starts.
    assert {"pytest", "filelock", "hypothesis", "accelerate", "datasets", "sentence-transformers"} <= named
