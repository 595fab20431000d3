"""The download goes from mirror to mirror, and only what its checksum confirms reaches the cache."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from mnist_files import IDX_NAMES, assert_holds, idx_files, small_pairs

from symgrad.data import __main__, download, download_mnist, load_mnist
from symgrad.errors import DataError, MissingLibraryError


class Mirror:
    """A server on the loopback address; it serves `files` by name and counts requests."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.requests: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                mirror.requests.append(name)
                content = files.get(name)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *arguments: object) -> None:
                """Stay quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The four files of a small data set, whose checksums stand in for the published ones."""
    pytest.importorskip("pooch")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    contents = {name: gzip.compress(block, mtime=0) for name, block in idx_files(small_pairs()).items()}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(download, "SHA256", checksums)
    return contents


@pytest.fixture
def mirror(files: dict[str, bytes]) -> Iterator[Mirror]:
    server = Mirror(files)
    yield server
    server.close()


@pytest.fixture
def bad_mirrors(files: dict[str, bytes]) -> Iterator[list[str]]:
    """Nobody listens, nothing is there, and every file is a login page."""
    missing, wrong, closed = Mirror({}), Mirror(dict.fromkeys(files, b"<html>log in")), Mirror({})
    closed.close()
    yield [closed.url, missing.url, wrong.url]
    missing.close()
    wrong.close()


def test_download_goes_on_to_the_mirror_that_works(tmp_path, mirror, bad_mirrors):
    folder = download_mnist(tmp_path / "new" / "cache", [*bad_mirrors, mirror.url])
    assert sorted(os.listdir(folder)) == sorted(IDX_NAMES)
    assert_holds(load_mnist(folder), small_pairs())


def test_download_only_fetches_what_the_cache_lacks(tmp_path, mirror):
    for _ in range(2):
        download_mnist(tmp_path, [mirror.url])
        assert sorted(mirror.requests) == sorted(IDX_NAMES)
    (tmp_path / IDX_NAMES[2]).write_bytes(b"damaged")
    (tmp_path / IDX_NAMES[3]).unlink()
    del mirror.requests[:]
    download_mnist(tmp_path, [mirror.url])
    assert mirror.requests == [IDX_NAMES[2], IDX_NAMES[3]]
    assert_holds(load_mnist(tmp_path), small_pairs())


def test_download_fails_with_every_mirrors_reason(tmp_path, bad_mirrors):
    with pytest.raises(DataError) as caught:
        download_mnist(tmp_path, bad_mirrors)
    text = str(caught.value)
    assert text.startswith("train-images-idx3-ubyte.gz could not be downloaded from any of 3 mirrors\n")
    for reason in [*bad_mirrors, "refused", "404", "hash", f"put them into {tmp_path}"]:
        assert reason in text
    assert os.listdir(tmp_path) == []  # no part of a file is left


def test_download_command(tmp_path, mirror, monkeypatch, capsys):
    monkeypatch.setattr(download_mnist, "__defaults__", (None, [mirror.url]))
    assert __main__.main(["--cache", str(tmp_path / "here")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'here'}\n"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SystemExit) as caught:
        __main__.main(["--cache", str(tmp_path / "file")])
    assert caught.value.code == 1
    assert "DataError: the folder for MNIST can't be made" in capsys.readouterr().err


def test_download_without_pooch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingLibraryError, match=r"pip install symgrad\[train\]"):
        download_mnist(tmp_path)
