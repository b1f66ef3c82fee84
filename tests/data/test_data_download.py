"""Downloads from a server that misbehaves in every way that servers do."""

import errno
import hashlib
import http.server
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoencode.data import fetch
from autoencode.data.formats import download
from autoencode.errors import DataError, StorageError

CONTENT = os.urandom(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at any path; the first part of the path says what goes wrong."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        fault = self.path.split("/")[1]
        if fault == "missing":
            self.send_error(404)
            return
        if fault == "busy" and len(server.requests) == 1:
            self.send_error(503)
            return
        body = b"x" * len(CONTENT) if fault == "wrong" else CONTENT
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if fault == "no-range":
            asked, start = None, 0
        if start >= len(body):
            self.send_error(416)
            return
        if fault == "other-range" and asked:
            start = 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if fault != "no-length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        cuts = fault == "always-cut" or (fault in ("cut", "no-range") and len(server.requests) == 1)
        self.wfile.write(rest[: len(rest) // 2] if cuts else rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ranges(server):
    return [asked for _, asked in server.requests]


def only_target_in(folder):
    return [path.name for path in folder.iterdir()] == ["file.gz"]


def test_download(server, tmp_path):
    seen = []
    target = tmp_path / "new" / "folder" / "file.gz"
    path = fetch([f"{server.url}/ok/f"], target, md5=MD5, progress=lambda *p: seen.append(p))
    assert path == target
    assert path.read_bytes() == CONTENT
    assert only_target_in(path.parent)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_sha256(server, tmp_path):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert fetch([f"{server.url}/ok/f"], tmp_path / "file.gz", sha256=sha256).exists()
    with pytest.raises(DataError, match="sha256"):
        fetch([f"{server.url}/wrong/f"], tmp_path / "other", sha256=sha256)


@pytest.mark.parametrize("fault", ["cut", "no-range", "busy", "no-length"])
def test_faults_that_are_overcome(server, tmp_path, fault):
    path = fetch([f"{server.url}/{fault}/f"], tmp_path / "file.gz", md5=MD5)
    assert path.read_bytes() == CONTENT
    assert only_target_in(tmp_path)


def test_a_cut_connection_is_resumed(server, tmp_path):
    fetch([f"{server.url}/cut/f"], tmp_path / "file.gz", md5=MD5)
    assert ranges(server) == [None, f"bytes={len(CONTENT) // 2}-"]


def test_what_an_earlier_call_left_is_resumed(server, tmp_path):
    url, target = f"{server.url}/always-cut/f", tmp_path / "file.gz"
    with pytest.raises(DataError, match=f"connection cut after .* of {len(CONTENT)} bytes"):
        fetch([url], target, md5=MD5, retries=1)
    assert not target.exists()
    kept = (tmp_path / "file.gz.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    server.requests.clear()
    assert fetch([f"{server.url}/ok/f"], target, md5=MD5).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={kept}-"]
    assert only_target_in(tmp_path)


@pytest.mark.parametrize(
    "part",
    [b"stale", CONTENT[:1000], CONTENT + b"more", b"z" * len(CONTENT), b""],
    ids=["stale", "good", "longer", "wrong", "empty"],
)
@pytest.mark.parametrize("fault", ["ok", "no-range", "other-range"])
def test_any_part_may_be_there(server, tmp_path, part, fault):
    (tmp_path / "file.gz.part").write_bytes(part)
    path = fetch([f"{server.url}/{fault}/f"], tmp_path / "file.gz", md5=MD5)
    assert path.read_bytes() == CONTENT
    assert only_target_in(tmp_path)


def test_a_complete_part_needs_no_network(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT)
    assert fetch([f"{server.url}/missing/f"], tmp_path / "file.gz", md5=MD5).exists()
    assert not server.requests


@pytest.mark.parametrize("fault", ["missing", "wrong", "always-cut"])
def test_the_next_mirror_helps(server, tmp_path, fault):
    urls = [f"{server.url}/{fault}/f", f"{server.url}/ok/f"]
    path = fetch(urls, tmp_path / "file.gz", md5=MD5, retries=1)
    assert path.read_bytes() == CONTENT


def test_wrong_bytes_leave_nothing(server, tmp_path):
    with pytest.raises(DataError, match="wrong checksum"):
        fetch([f"{server.url}/wrong/f"], tmp_path / "file.gz", md5=MD5)
    assert not list(tmp_path.iterdir())


def test_offline_the_message_says_what_to_put_where(server, tmp_path):
    server.shutdown()
    server.server_close()  # nobody listens now
    urls = [f"{server.url}/a/f", f"{server.url}/b/f"]
    target = tmp_path / "file.gz"
    with pytest.raises(DataError) as caught:
        fetch(urls, target, md5=MD5)
    message = str(caught.value)
    assert all(url in message for url in urls)
    assert str(target) in message
    assert "refused" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        with pytest.raises(DataError, match="timed out"):
            fetch([url], tmp_path / "file.gz", timeout=0.1, retries=0)


def test_two_at_once_do_not_mix(server, tmp_path):
    url, target = f"{server.url}/ok/f", tmp_path / "file.gz"
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch([url], target, md5=MD5), range(8)))
    assert all(path.read_bytes() == CONTENT for path in paths)
    assert only_target_in(tmp_path)


def test_the_second_has_a_part_of_its_own(server, tmp_path):
    target = tmp_path / "file.gz"
    with download._claim(target) as first:
        first.append(b"half of it")
        assert fetch([f"{server.url}/ok/f"], target, md5=MD5).read_bytes() == CONTENT
        assert first.path.read_bytes() == b"half of it"


def test_a_full_disk_is_one_line(server, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write to .*No space left") as caught:
        fetch([f"{server.url}/ok/f"], tmp_path / "file.gz", md5=MD5)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "file.gz").exists()


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write to"):
        fetch([f"{server.url}/ok/f"], tmp_path / "file" / "file.gz", md5=MD5)
