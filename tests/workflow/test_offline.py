"""Nodes without internet: all that is needed is fetched before, then everything runs with the hub switched off."""

import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from rankscale.stages import fetch
from rankscale.text.tokenizers import train_wordpiece
from tests.conftest import SMALL, run

NAME, SHA = "someone/tiny", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repository(tmp_path):
    """A small BERT as its authors would upload it, with files that nobody reads."""
    folder = tmp_path / "tiny"
    train_wordpiece(["a few words of a small vocabulary"], 200, folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=200, **shape)).save_pretrained(folder)
    (folder / "README.md").write_text("# Tiny")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights once more")
    return folder


@pytest.fixture
def hub(repository):
    """A server that speaks as much of the hub's protocol as huggingface_hub asks; its address and what was asked."""
    requests = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def answer(self, body=b"", status=200, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            path = self.path.partition("?")[0]
            requests.append(f"{self.command} {path}")
            if path in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"):
                files = [{"rfilename": file.name} for file in sorted(repository.iterdir())]
                reply = {"id": NAME, "modelId": NAME, "sha": SHA, "siblings": files, "private": False}
                self.answer(json.dumps(reply).encode(), **{"Content-Type": "application/json"})
            elif path == f"/api/models/{NAME}/tree/{SHA}":
                files = sorted(repository.iterdir())
                reply = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f.name} for f in files]
                self.answer(json.dumps(reply).encode(), **{"Content-Type": "application/json"})
            elif path.startswith(f"/{NAME}/resolve/") and (repository / Path(path).name).exists():
                body = (repository / Path(path).name).read_bytes()
                self.answer(body, **{"ETag": f'"{Path(path).name}"', "X-Repo-Commit": SHA})
            else:
                self.answer(status=404, **{"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()


def test_what_is_fetched_before_serves_without_internet(project, tmp_path, hub, monkeypatch):
    address, requests = hub
    folder = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    model = "{name: L1H16, layers: 1, hidden: 16, heads: 2}"
    text = SMALL.replace("study: demo", "study: own").replace(model, "{name: L1H16, checkpoint: someone/tiny}")
    (folder / "own.yaml").write_text(text)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", address)
    run("snakemake --cores 1 offline --configfile own.yaml", folder)
    manifest = json.loads((folder / "results/shared/hub/someone--tiny.json").read_text())
    assert (manifest["model"], manifest["revision"]) == (NAME, SHA)
    fetched = {line.rpartition("/")[2] for line in requests if line.startswith("GET") and "resolve" in line}
    assert fetched == set(manifest["files"])
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= fetched
    assert not {"README.md", "pytorch_model.bin"} & fetched
    # From here on the hub is neither asked nor there.
    before = len(requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run(
        "snakemake --cores 1 results/own/scores/docstrings/base/L1H16/256/42/final.parquet --configfile own.yaml",
        folder,
    )
    assert len(requests) == before


@pytest.mark.parametrize(
    ("name", "variables", "message"),
    [
        ("someone/else", {}, "someone/else: the hub has no such model"),
        (NAME, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        (NAME, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_line(tmp_path, hub, monkeypatch, name, variables, message):
    for variable, value in {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": hub[0], **variables}.items():
        monkeypatch.setenv(variable, value)
    done = run(f"rankscale fetch --model {name} --output {tmp_path}/made.json", tmp_path, check=False)
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "made.json").exists()


def test_only_one_format_of_weights_is_fetched():
    files = ["config.json", "onnx/model.onnx", "model.safetensors", "pytorch_model.bin", "vocab.txt", "README.md"]
    assert fetch.wanted(files) == ["config.json", "model.safetensors", "vocab.txt"]
    assert fetch.wanted(["pytorch_model.bin", "config.json"]) == ["config.json", "pytorch_model.bin"]
