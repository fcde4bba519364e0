"""The HTML report in a real browser."""

import base64
import functools
import http.server
import re
import shutil
import subprocess
import threading

import pytest

from tests.conftest import FIGURES

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"),
)


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    """The report's page after its scripts ran, and what the browser's console said."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=study)
    asked = []

    class Quiet(handler.func):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=study))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--enable-logging=stderr"]
    address = f"http://127.0.0.1:{server.server_port}/report.html"
    done = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True)
    server.shutdown()
    return done.stdout, done.stderr, asked


def test_the_page_draws_itself_without_errors_or_other_requests(page):
    dom, console, asked = page
    assert "A scaling study of neural ranking models" in dom
    for word in ("Figures", "Summary", "Tables", "Workflow", "Statistics"):
        assert word in dom, word
    assert not [line for line in console.splitlines() if "CONSOLE" in line and "rror" in line]
    assert set(asked) <= {"/report.html", "/favicon.ico"}


def test_every_figure_and_table_is_inside(study):
    text = (study / "report.html").read_text()
    for name in FIGURES:
        assert f"results/demo/figures/{name}.svg" in text
    for name in ("summary", "metrics", "fits", "forecasts", "ranking", "plan"):
        assert f"results/demo/tables/{name}.html" in text
    embedded = re.findall(r'data:text/html;[^",]*?base64,([\w+/=]+)', text)
    pages = [base64.b64decode(page).decode() for page in embedded]
    assert len(pages) == 6
    assert any("Which metric scales" in page for page in pages)
    assert "http://" not in "".join(re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', text))
