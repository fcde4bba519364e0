"""Downloads against a real HTTP server that breaks off, corrupts, knows no ranges, or is not there."""

import gzip
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from rankscale.collection import download, msmarco
from rankscale.core.errors import StudyError
from rankscale.stages import collect
from rankscale.storage import tables

CONTENT = os.urandom(3 << 20)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `faults` says, request by request, what goes wrong; `ranges` keeps the ranges asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.ranges = {"/f.bin": CONTENT}, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, name="f.bin"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, byte_range = self.server.files.get(self.path), self.headers.get("Range")
        fault = self.server.faults.pop(0) if self.server.faults else ""
        self.server.ranges.append(byte_range)
        if content is None or fault.isdigit():
            self.send_response(int(fault or 404))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(byte_range[6:-1]) if byte_range and fault != "no ranges" else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.wfile.write(body[: len(body) // 2] if fault == "break off" else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # between tries
    file_server = Server()
    yield file_server
    file_server.shutdown()
    file_server.server_close()


def is_whole(folder):
    assert (folder / "f.bin").read_bytes() == CONTENT
    assert os.listdir(folder) == ["f.bin"]


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([], 1),
        (["break off"], 2),
        (["break off", "break off", "break off"], 4),
        (["corrupt"], 2),
        (["break off", "corrupt"], 3),
        (["break off", "no ranges"], 2),
        (["no ranges"], 1),
        (["503", "503", "429"], 4),
    ],
)
def test_a_file_is_whole_in_the_end(server, tmp_path, faults, requests):
    server.faults = list(faults)
    assert download.fetch(server.url(), MD5, tmp_path) == tmp_path / "f.bin"
    is_whole(tmp_path)
    assert len(server.ranges) == requests


def test_what_broke_off_goes_on_where_it_was(server, tmp_path):
    server.faults = ["break off"]
    download.fetch(server.url(), MD5, tmp_path)
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_file_that_is_there_is_not_asked_for_again_and_a_changed_one_is(server, tmp_path):
    for _ in range(2):
        download.fetch(server.url(), MD5, tmp_path)
    assert len(server.ranges) == 1
    (tmp_path / "f.bin").write_bytes(CONTENT[:-5])
    download.fetch(server.url(), MD5, tmp_path)
    is_whole(tmp_path)


@pytest.mark.parametrize(
    ("faults", "message", "left"),
    [
        (["404"], "the server answers 404", []),
        (["503"] * 99, "503", []),
        (["corrupt"] * 99, "another checksum", []),
        (["break off"] * 99, "broke off at byte", [".f.bin.part"]),
    ],
)
def test_a_file_that_cannot_be_had_is_named_and_nothing_half_written_is_taken_for_it(
    server, tmp_path, faults, message, left
):
    server.faults = list(faults)
    with pytest.raises(StudyError, match=message) as error:
        download.fetch(server.url(), MD5, tmp_path)
    assert server.url() in str(error.value)
    assert os.listdir(tmp_path) == left


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(StudyError, match="cannot be downloaded"):
        download.fetch("http://127.0.0.1:9/f.bin", MD5, tmp_path)


def test_a_killed_download_goes_on_in_another_process(server, tmp_path):
    (tmp_path / ".f.bin.part").write_bytes(CONTENT[:1000])
    download.fetch(server.url(), MD5, tmp_path)
    is_whole(tmp_path)
    assert server.ranges == ["bytes=1000-"]
    # One that was killed between its last byte and its renaming is whole already.
    (tmp_path / "f.bin").rename(tmp_path / ".f.bin.part")
    download.fetch(server.url(), MD5, tmp_path)
    is_whole(tmp_path)


def test_a_full_disk_is_named_and_what_came_is_kept(server, tmp_path):
    """A file size limit stands for the disk: the write fails in the same place."""
    code = f"""
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
from rankscale.collection import download
from rankscale.core import cli
parser = cli.command_parser("collect", "")
cli.run_command("collect", lambda args: download.fetch({server.url()!r}, {MD5!r}, Path({str(tmp_path)!r})), parser, [])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == [".f.bin.part"]
    download.fetch(server.url(), MD5, tmp_path)
    is_whole(tmp_path)


def official(server, monkeypatch):
    """The official files in small: same names, same archives, same formats, own contents and checksums."""

    def tar(**members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, text in members.items():
                entry = tarfile.TarInfo(name.replace("_", ".", 2) if name != "collection" else "collection.tsv")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        return out.getvalue()

    def lines(*rows):
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)

    queries = {
        "queries_train_tsv": lines(*((100 + i, f"train query {i}") for i in range(8))),
        "queries_dev_tsv": lines((201, "dev one"), (202, "dev two"), (203, "dev without judgment")),
        "queries_eval_tsv": lines((999, "never judged")),
    }
    files = {
        "collection.tar.gz": tar(collection=lines(*((i, f"passage {i}") for i in range(30)))),
        "queries.tar.gz": tar(**queries),
        "qrels.train.tsv": lines(*((100 + i, 0, i, 1) for i in range(8))).encode(),
        "qrels.dev.tsv": lines((201, 0, 21, 1), (202, 0, 22, 1), (202, 0, 23, 1)).encode(),
        "qrels.dev.small.tsv": lines((202, 0, 22, 1), (202, 0, 23, 1)).encode(),
        "msmarco-test2019-queries.tsv.gz": gzip.compress(lines((301, "dl query"), (302, "not judged")).encode()),
        "msmarco-test2020-queries.tsv.gz": gzip.compress(lines((401, "dl again"), (402, "of low grades")).encode()),
        "2019qrels-pass.txt": b"301 Q0 5 3\n301 Q0 6 1\n301 Q0 7 0\n",
        "2020qrels-pass.txt": b"401 0 8 2\n402 0 9 1\n",
    }
    server.files = {f"/{name}": content for name, content in files.items()}
    address = server.url("").rstrip("/")
    table = {name: (address, f"md5:{hashlib.md5(content).hexdigest()}") for name, content in files.items()}
    monkeypatch.setattr(msmarco, "FILES", table)


def collected(folder, *more):
    args = collect.arguments().parse_args(["--source", "msmarco-passage", *more, "--output", str(folder)])
    args.settings = {}
    collect.main(args)
    return [tables.read(n, Path(folder) / f"{n}.parquet").to_pylist() for n in ("documents", "queries", "qrels")]


def test_the_official_files_become_a_collection_with_all_its_test_sets(server, tmp_path, monkeypatch):
    official(server, monkeypatch)
    server.faults = ["break off", "", "503", "corrupt"]
    documents, queries, qrels = collected(tmp_path, "--positive-grade", '{"dl_2019": 2, "dl_2020": 2}')
    assert [d["doc_id"] for d in documents] == [str(i) for i in range(30)]
    by_split = {}
    for row in qrels:
        by_split.setdefault(row["split"], []).append((row["query_id"], row["row"], row["positive"]))
    assert len(by_split.pop("train")) == 8
    assert by_split == {
        "dev": [("201", 21, True), ("202", 22, True), ("202", 23, True)],
        "dev_small": [("202", 22, True), ("202", 23, True)],
        "dl_2019": [("301", 5, True), ("301", 6, False), ("301", 7, False)],
        "dl_2020": [("401", 8, True)],  # 402 has no passage of grade 2
    }
    assert {q["query_id"] for q in queries} == {str(100 + i) for i in range(8)} | {"201", "202", "301", "401"}
    # A second time nothing is downloaded.
    before = len(server.ranges)
    assert collected(tmp_path, "--positive-grade", '{"dl_2019": 2, "dl_2020": 2}')[0] == documents
    assert len(server.ranges) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("collection.tar.gz", lambda tar: tar("other.tsv"), "collection.tar.gz: has no member collection.tsv"),
        ("collection.tar.gz", lambda tar: tar("../collection.tsv"), "leads out of the archive"),
        ("collection.tar.gz", lambda tar: tar("collection.tsv")[:-30], "cannot be read to its end"),
        ("qrels.train.tsv", lambda _: b"100 0 0 1\n777 0 1 1\n", "qrels.train.tsv:2: judges query 777"),
    ],
)
def test_a_harmed_official_file_is_named(server, tmp_path, monkeypatch, name, content, message):
    def tar(member):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            entry = tarfile.TarInfo(member)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"0\ta\n"))
        return out.getvalue()

    official(server, monkeypatch)
    harmed = content(tar)
    server.files[f"/{name}"] = harmed
    monkeypatch.setitem(msmarco.FILES, name, (msmarco.FILES[name][0], f"md5:{hashlib.md5(harmed).hexdigest()}"))
    with pytest.raises(StudyError, match=message):
        collected(tmp_path)
