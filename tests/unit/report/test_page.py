"""The report as one page: its data are the tables', and a browser shows it as it should at three widths."""

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rankscale.report.html import without_tags
from rankscale.report.page.document import page
from rankscale.report.page.figure_data import figure_data
from rankscale.storage import tables
from tests.conftest import ROOT, run

EXAMPLE = ROOT / "docs/example"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=60000"),
)
WIDTHS = (390, 820, 1300)  # a phone, a tablet, a window
HEIGHT = 900
NAMES = ("metrics", "fits", "curves", "verdicts")
VISIT = "<!doctype html><body><script>{}</script></body>".format(
    Path(__file__)
    .with_name("visit_page.js")
    .read_text()
    .replace("WIDTHS", str(list(WIDTHS)))
    .replace("HEIGHT", str(HEIGHT))
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    run(["rankscale", "report", EXAMPLE, "--output", folder], folder)
    return folder / "page.html"


@pytest.fixture(scope="module")
def seen(written, tmp_path_factory):
    """What a browser saw of the page at three widths, what its console said, and what was asked of the server."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    asked = []
    (written.parent / "visit.html").write_text(VISIT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=written.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = tmp_path_factory.mktemp("browser")
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--enable-logging=stderr", "--window-size=1400,1000"]
    address = f"http://127.0.0.1:{server.server_port}/visit.html"
    done = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=600, check=True)
    server.shutdown()
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-3000:]
    return json.loads(html.unescape(found[1])), done.stderr, asked


@pytest.fixture(scope="module")
def frames():
    read = tables.read_study({name: EXAMPLE / f"{name}.parquet" for name in NAMES})
    return {name: table.to_pandas() for name, table in read.items()}


def test_the_data_are_those_of_the_tables(frames):
    data = figure_data(**frames)
    finals = frames["metrics"].query("checkpoint == 'final'")
    assert len(data["points"]) == len(finals) == 40
    for row, point in zip(finals.itertuples(), data["points"], strict=True):
        assert (point["model"], point["subset"], point["seed"]) == (row.model, row.train_queries, row.seed)
        assert np.allclose(point["values"]["1-mrr"], [1 - row.mrr, 1 - row.mrr_high, 1 - row.mrr_low], rtol=1e-4)
        assert point["x"]["model"] == row.encoder_parameters
    assert data["chance"]["rank_entropy"] == [pytest.approx(np.log(65), rel=1e-4)]
    drawn = frames["curves"][frames["curves"].axis.isin(["model", "data", "compute", "inference"])]
    key = ["metric", "axis", "fixed", "law"]
    assert {tuple(curve[part] for part in key) for curve in data["curves"]} == set(map(tuple, drawn[key].values))
    for curve in data["curves"]:
        whole = drawn[(drawn[key] == [curve[part] for part in key]).all(axis=1)]
        assert np.allclose([curve["y"][0], curve["y"][-1]], [whole.y.iloc[0], whole.y.iloc[-1]], rtol=1e-4)
        assert len(curve["x"]) == 30


def test_every_width_shows_the_answer_first_and_nothing_runs_out_of_it(seen):
    for width, shown in seen[0]["widths"].items():
        assert shown["drawn"] == "yes", width
        assert shown["page"] <= shown["room"], width
        assert 0 < shown["answer"] < HEIGHT, f"{width}: the third sentence ends below the first screen"
        assert shown["answer"] <= shown["chart"]
        assert shown["figure"] <= shown["box"] + 1, width
        assert len(shown["pictures"]) >= 10
        assert min(shown["pictures"]) > 100
    assert seen[0]["widths"]["1300"]["chart"] < HEIGHT / 2 + 100, "the figure begins on the first screen"
    assert seen[0]["widths"]["390"]["wide"] > 0, "wide tables scroll within their boxes"


def test_the_figure_follows_its_menus(seen, frames):
    opened = seen[0]["opened"]
    assert opened["points"] == 40
    assert opened["rows"] == 41
    assert "Rank-Entropy over Encoder parameters N; laws on 8,000 training queries: keeps improving" in opened["says"]
    assert (opened["x"]["type"], opened["y"]["type"]) == ("log", "log")
    fixed = frames["curves"].query("axis == 'model' and fixed == 'train_queries=8000' and metric == 'rank_entropy'")
    assert opened["bands"] == fixed.law.nunique() > 1
    assert seen[0]["unbanded"]["bands"] == 0
    assert seen[0]["unbanded"]["lines"] == fixed.law.nunique()
    assert seen[0]["lineless"]["lines"] == fixed.law.nunique() - 1
    assert seen[0]["linear"]["y"]["type"] == "linear"
    assert seen[0]["data"]["x"]["title"]["text"] == "Training queries D"
    assert "Calibrated cross-entropy over Training queries D; laws of L1H64" in seen[0]["calibrated"]["says"]
    assert seen[0]["signed"]["y"]["type"] == "linear"


def test_the_keyboard_goes_from_run_to_run_and_says_its_numbers(seen, frames):
    finals = frames["metrics"].query("checkpoint == 'final'")
    runs = finals.sort_values("encoder_parameters", kind="stable")
    assert seen[0]["focused"]
    assert seen[0]["first"]["words"] != seen[0]["second"]["words"]
    for pressed, model in (("first", runs.model.iloc[0]), ("last", runs.model.iloc[-1])):
        words = seen[0][pressed]["words"]
        said = re.fullmatch(
            r"(\w+), ([\d,]+) training queries, seed (\d+): Rank-Entropy ([\d.]+) \[([\d.]+), ([\d.]+)\] nats.*", words
        )
        assert said, words
        row = finals[
            (finals.model == said[1])
            & (finals.train_queries == int(said[2].replace(",", "")))
            & (finals.seed == int(said[3]))
        ].iloc[0]
        assert said[1] == model
        numbers = [float(said[group]) for group in (4, 5, 6)]
        assert np.allclose(numbers, [row.rank_entropy, row.rank_entropy_low, row.rank_entropy_high], rtol=1e-3)
        assert model in seen[0][pressed]["shown"]


def test_it_reads_aloud_and_asks_nobody_else(seen):
    facts, console, asked = seen
    assert facts["unlabelled"] == facts["silent"] == 0
    assert facts["headings"][0] == "H1"
    assert facts["headings"].count("H1") == 1
    assert not [line for line in console.splitlines() if "CONSOLE" in line and "rror" in line]
    assert set(asked) <= {"/visit.html", "/page.html", "/favicon.ico"}


def test_it_opens_as_a_file(written, tmp_path):
    if not BROWSER:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", written.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert 'data-drawn="yes"' in done.stdout[:500]


class Tags(HTMLParser):
    """The tags of a page, each with the names of its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes)))


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "<!--", '"><b>']
)
def test_names_are_text_in_it(name, frames):
    def tags(name):
        renamed = {key: frame.head(100).assign(split=name) for key, frame in frames.items()}
        title = without_tags(name)
        summary = f"# Study a: {title}\n\n## The answer\n\n- b\n\n![c](d.svg)\n\n## {title}\n"
        return Tags(page(summary, figure_data(**renamed), {"plan": f"<svg><text>{name}</text></svg>"})).tags

    assert tags(name) == tags("test")
