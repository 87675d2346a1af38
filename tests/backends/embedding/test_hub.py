"""Downloading a model: the hub's own client against a local server that answers as the hub does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Run, clean_environment

from job.backends.embedding.hub import needed_files
from job.backends.embedding.models import find_model

SHA = "5617a9f61b028005a4858fdac845db406aefb181"
NOT_NEEDED = ("README.md", "onnx/model.onnx", "onnx/config.json", "flax_model.msgpack", "imgs/nqa.jpg", "long.pt")


class Hub:
    """A server with one repository, `org/model`. `files`: its content; `requests`: the paths that were requested."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.requests = files, list[str]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_HEAD(self) -> None:
                self.answer(False)

            def do_GET(self) -> None:
                self.answer(True)

            def answer(self, with_body: bool) -> None:
                hub.requests.append(self.path)
                body, headers, code = b"{}", {"X-Error-Code": "RepoNotFound"}, 404
                if self.path.startswith(f"/api/models/org/model/tree/{SHA}"):
                    tree = [{"type": "file", "path": n, "size": len(c), "oid": n} for n, c in hub.files.items()]
                    body, headers, code = json.dumps(tree).encode(), {}, 200
                elif self.path.startswith("/api/models/org/model"):
                    info = {"id": "org/model", "sha": SHA, "siblings": [{"rfilename": name} for name in hub.files]}
                    body, headers, code = json.dumps(info).encode(), {}, 200
                elif self.path.startswith("/org/model/resolve/"):
                    name = self.path.split("/", 5)[5].split("?")[0]
                    body, code = hub.files[name], 200
                    headers = {"ETag": f'"{name}-{len(body)}"', "X-Repo-Commit": SHA}
                self.send_response(code)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hub(tiny_m3: Path) -> Iterator[Hub]:
    files = {str(path.relative_to(tiny_m3)): path.read_bytes() for path in tiny_m3.rglob("*") if path.is_file()}
    hub = Hub(files | {"pytorch_model.bin": b"the same weights again"} | dict.fromkeys(NOT_NEEDED, b"large"))
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def online(hub: Hub, home: Path) -> dict[str, str]:
    return clean_environment() | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.address, "HF_HOME": str(home)}


def test_only_needed_files_are_downloaded_and_the_folder_is_a_model(
    job: Run, hub: Hub, tiny_m3: Path, tmp_path: Path
) -> None:
    done = job("fetch-model", "org/model", tmp_path / "model", env=online(hub, tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert f"cls pooling, BGE-M3 heads; set embed.model={tmp_path / 'model'}" in done.stdout
    fetched = {str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").glob("[!.]*")}
    assert fetched == {path.name for path in tiny_m3.iterdir()}
    assert not any(
        name in path for path in hub.requests for name in (*NOT_NEEDED, "pytorch_model.bin") if "resolve" in path
    )
    assert find_model(str(tmp_path / "model"), "auto").identity == find_model(str(tiny_m3), "auto").identity


def test_files_that_are_there_are_not_downloaded_again(job: Run, hub: Hub, tmp_path: Path) -> None:
    environment = online(hub, tmp_path / "home")
    assert job("fetch-model", "org/model", tmp_path / "model", env=environment).returncode == 0
    hub.requests.clear()
    assert job("fetch-model", "org/model", tmp_path / "model", env=environment).returncode == 0
    assert not any("resolve" in path for path in hub.requests)


@pytest.mark.slow
def test_a_model_in_the_cache_needs_no_network(job: Run, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("title\nOne\nTwo\nThree\n")
    settings = ("configs/demo.yaml", f"input.path={tmp_path / 'x.csv'}", f"run_dir={tmp_path / 'run'}")
    environment = online(hub, tmp_path / "home")
    assert job("stage", "ingest", *settings, env=environment).returncode == 0
    assert job("stage", "embed", *settings, "embed.model=org/model", env=environment).returncode == 0
    assert any("resolve" in path for path in hub.requests)
    hub.requests.clear()
    assert job("stage", "embed", *settings, "embed.model=org/model", env=environment).returncode == 0
    assert hub.requests == []


def test_errors_name_what_to_do(job: Run, hub: Hub, tmp_path: Path) -> None:
    environment = online(hub, tmp_path / "home")
    for name, folder, settings, said in (
        ("org/other", "model", environment, "HF_TOKEN"),
        ("model", "model", environment, "expected a hub id such as BAAI/bge-m3"),
        ("org/model", "file", environment, "is a file: name a folder"),
        ("org/model", "mine", environment, "is not empty and holds no earlier download"),
        ("org/model", "model", environment | {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
        ("org/model", "model", environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the network"),
    ):
        (tmp_path / "file").touch()
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / "config.json").write_text("mine")
        done = job("fetch-model", name, tmp_path / folder, env=settings)
        assert done.returncode == 2, (name, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "mine" / "config.json").read_text() == "mine"
    hub.files = {"config.json": b"{}", "model.onnx": b"x"}
    assert "no weights" in job("fetch-model", "org/model", tmp_path / "model", env=environment).stderr


def test_weights_in_two_formats_are_downloaded_once() -> None:
    weights = ["config.json", "model.safetensors", "pytorch_model.bin", "openvino/model.safetensors"]
    assert needed_files(weights) == ["config.json", "model.safetensors"]
    assert needed_files(["config.json", "pytorch_model.bin"]) == ["config.json", "pytorch_model.bin"]
    split = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert needed_files(split) == split
    assert needed_files(["1_Pooling/config.json", "2_Dense/config.json"]) == ["1_Pooling/config.json"]
