import dataclasses
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from experiments.imdb.reviews import download
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.download import fetch


@pytest.fixture
def serve():
    """Serves bytes over HTTP, and counts how often they are asked for."""
    servers, closing = [], threading.Event()

    def start(
        content: bytes, status: int = 200, claimed: int | None = None, pause_seconds: float = 0.0
    ) -> tuple[str, list[str]]:
        requests: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if claimed is None else claimed))
                self.end_headers()
                for byte in [content] if not pause_seconds else [content[n : n + 1] for n in range(len(content))]:
                    self.wfile.write(byte)
                    if closing.wait(pause_seconds):
                        return

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/~maas/aclImdb_v1.tar.gz", requests

    yield start
    closing.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def content_and_archive(make_archive, members):
    archive = make_archive(members)
    content = archive.path.read_bytes()
    return content, dataclasses.replace(archive, path=None, num_bytes=len(content))


def test_archive_is_downloaded_once(serve, content_and_archive, tmp_path):
    content, archive = content_and_archive
    url, requests = serve(content)
    heard = []
    archive = dataclasses.replace(archive, url=url)
    fetched = fetch(archive, tmp_path / "downloads", lambda *progress: heard.append(progress))
    assert fetched.path == tmp_path / "downloads" / "aclImdb_v1.tar.gz"
    assert fetched.path.read_bytes() == content
    assert heard[-1] == ("downloading", len(content), len(content))
    assert fetch(archive, tmp_path / "downloads") == fetched
    assert len(requests) == 1
    assert len(fetched.read()["test"]) == 10


def test_archive_placed_by_hand_comes_first(serve, content_and_archive, tmp_path):
    content, archive = content_and_archive
    url, requests = serve(content)
    by_hand = tmp_path / "downloads" / "manual" / "aclImdb_v1.tar.gz"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(content)
    assert fetch(dataclasses.replace(archive, url=url), tmp_path / "downloads").path == by_hand
    assert not requests


def test_archive_with_a_path_is_left_alone(tmp_path):
    assert fetch(Archive(tmp_path / "mine.tar.gz"), tmp_path).path == tmp_path / "mine.tar.gz"


@pytest.mark.fault(20)
def test_without_network_the_error_names_file_hash_and_place(tmp_path):
    archive = Archive(url="http://127.0.0.1:1/aclImdb_v1.tar.gz")
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as raised:
        fetch(archive, tmp_path / "downloads")
    assert time.monotonic() - start < 5
    assert archive.sha256 in str(raised.value)
    assert str(tmp_path / "downloads" / "manual" / "aclImdb_v1.tar.gz") in str(raised.value)
    assert archive.url in str(raised.value)


@pytest.mark.fault(20)
def test_unknown_host_is_an_answer_within_seconds(tmp_path):
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        fetch(Archive(url="https://no-such-host.invalid/aclImdb_v1.tar.gz"), tmp_path)
    assert time.monotonic() - start < 30


def test_error_page_is_not_taken_for_the_archive(serve, content_and_archive, tmp_path):
    _, archive = content_and_archive
    url, _ = serve(b"gone", status=404)
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded.*404"):
        fetch(dataclasses.replace(archive, url=url), tmp_path / "downloads")


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    "change, message",
    [("short", "with sha256"), ("long", "sent more than the archive's"), ("other", "with sha256")],
)
def test_another_content_is_refused_and_not_kept(serve, content_and_archive, tmp_path, change, message):
    content, archive = content_and_archive
    sent = {"short": content[:-1], "long": content + b"x", "other": b"x" + content[1:]}[change]
    url, _ = serve(sent)
    with pytest.raises(ValueError, match=message):
        fetch(dataclasses.replace(archive, url=url), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())


@pytest.mark.fault(21)
def test_connection_lost_half_way_leaves_nothing(serve, content_and_archive, tmp_path):
    content, archive = content_and_archive
    url, _ = serve(content[:50], claimed=len(content))
    with pytest.raises((ValueError, FileNotFoundError)):
        fetch(dataclasses.replace(archive, url=url), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())


@pytest.mark.fault(20)
@pytest.mark.parametrize("pause_seconds", [60.0, 0.05], ids=["stops half-way", "sends a byte now and then"])
def test_a_server_that_stalls_is_left_within_seconds(serve, content_and_archive, tmp_path, monkeypatch, pause_seconds):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(download, "STALL_SECONDS", 1.0)
    content, archive = content_and_archive
    url, _ = serve(content, pause_seconds=pause_seconds)
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match="could not be downloaded") as raised:
        fetch(dataclasses.replace(archive, url=url), tmp_path / "downloads")
    assert time.monotonic() - start < 10
    assert str(tmp_path / "downloads" / "manual" / "aclImdb_v1.tar.gz") in str(raised.value)
    assert not list((tmp_path / "downloads").iterdir())


@pytest.mark.fault(20)
def test_a_server_that_never_answers_is_left_within_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/aclImdb_v1.tar.gz"
        start = time.monotonic()
        with pytest.raises(FileNotFoundError, match="timed out"):
            fetch(Archive(url=url), tmp_path)
        assert time.monotonic() - start < 10
