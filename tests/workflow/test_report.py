"""The HTML report in a real browser."""

import base64
import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest

from tests.conftest import FIGURES, ROOT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TABLES = ("summary", "metrics", "verdicts", "contrasts", "fits", "forecasts", "ranking", "plan")
PAGES = {**{name: f"results/demo/tables/{name}.html" for name in TABLES}, "page": "results/demo/page.html"}
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=60000"),
)


# Goes through the whole page as a reader would, and leaves what it saw at its end.
VISIT = """<script>(async () => {
  const wait = () => new Promise(done => setTimeout(done, 300));
  const inked = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    .data.filter((value, i) => i % 4 == 3 && value > 0).length;
  const inks = () => [...document.querySelectorAll("canvas")].map(inked);
  await wait(); await wait(); await wait();
  app.setView({content: "rulegraph"}); await wait(); await wait();
  const rules = rulegraph_spec.data.flatMap(part => (part.values || []).map(value => value.rule));
  const seen = {graph: inks(), rules: rules, results: {}};
  app.setView({content: "stats"}); await wait(); await wait();
  seen.stats = inks();
  for (const category of Object.keys(categories)) {
    app.setView({navbarMode: "menu"}); await wait();
    app.showCategory(category); await wait();
    seen[category] = document.body.innerText;
  }
  for (const path of Object.keys(results)) {
    new ToggleViewManager(app).handleSelectedResult(path); await wait();
    const image = document.querySelector(".p-3 > img"), frame = document.querySelector("iframe");
    app.showResultInfo(path); await wait();
    seen.results[path] = {width: image ? image.naturalWidth : 0, frame: frame ? frame.src.slice(0, 14) : "",
                          info: document.body.innerText};
    app.setView({content: "text", contentText: ""}); await wait();
  }
  const said = document.createElement("pre");
  said.id = "seen"; said.textContent = JSON.stringify(seen);
  document.body.append(said);
})()</script></html>"""


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    """What the browser saw on a way through the page, what its console said, and what was asked of the server."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    root, requests = tmp_path_factory.mktemp("served"), []
    (root / "report.html").write_text((study / "report.html").read_text() + VISIT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--enable-logging=stderr"]
    address = f"http://127.0.0.1:{server.server_port}/report.html"
    done = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=300, check=True)
    server.shutdown()
    match = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-3000:]
    return json.loads(html.unescape(match[1])), done.stderr, requests


def test_the_page_draws_itself_without_errors_or_other_requests(page):
    _, console, requests = page
    assert not [line for line in console.splitlines() if "CONSOLE" in line and "rror" in line]
    assert set(requests) <= {"/report.html", "/favicon.ico"}


def test_the_dag_and_the_run_times_are_drawn(page):
    view, _, _ = page
    assert view["graph"]
    assert min(view["graph"]) > 500, "nothing is painted"
    for rule in ("collect", "encode", "mine", "train", "retrieve", "score", "fit", "plot"):
        assert rule in view["rules"], rule
    assert len(view["stats"]) == 2
    assert min(view["stats"]) > 500


def test_every_figure_and_table_shows_with_its_label_and_caption(page):
    view, _, _ = page
    captions = {name: (ROOT / f"workflow/report/{name}.rst").read_text() for name in (*FIGURES, *PAGES)}
    for name in FIGURES:
        assert name.replace("_", " ") in view["Figures"]
        shown = view["results"][f"results/demo/figures/{name}.svg"]
        assert shown["width"] > 100, name
        assert captions[name].split(".")[0].split()[0] in shown["info"]
    for name, path in PAGES.items():
        assert name in view["Tables" if name in TABLES[1:] else "Summary"]
        shown = view["results"][path]
        assert shown["frame"] == "data:text/html", name
        assert captions[name].split()[0] in shown["info"]


def test_every_figure_and_table_is_inside(study):
    text = (study / "report.html").read_text()
    for name in FIGURES:
        assert f"results/demo/figures/{name}.svg" in text
    for path in PAGES.values():
        assert path in text
    embedded = re.findall(r'data:text/html;[^",]*?base64,([\w+/=]+)', text)
    pages = [base64.b64decode(page).decode() for page in embedded]
    assert len(pages) == len(PAGES)
    assert any("what would decide" in page for page in pages)
    assert sum("DecompressionStream" in page for page in pages) == 1
    assert "http://" not in "".join(re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', text))
