"""Downloads from a server on this machine: whole, cut, wrong, without consent."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tinylib import cli
from tinylib.datasets import fetching
from tinylib.datasets.fetching import Published, Remote, fetch
from tinylib.errors import DataError, UsageError

DATA = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """Serves DATA, ranges too; `cut` breaks off the next answer after so many bytes. `asked` are the ranges."""

    class Handler(BaseHTTPRequestHandler):
        ranges: list[str | None] = []  # noqa: RUF012
        cut: int | None = None

        def do_GET(self):
            if self.path != "/data.zip":
                return self.send_error(404)
            Handler.ranges.append(self.headers["Range"])
            start = int(self.headers["Range"][6:-1]) if self.headers["Range"] else 0
            if start >= len(DATA):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(DATA) - start))
            self.end_headers()
            end = len(DATA) if Handler.cut is None else start + Handler.cut
            Handler.cut = None
            self.wfile.write(DATA[start:end])

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    Handler.url = f"http://127.0.0.1:{httpd.server_port}/data.zip"

    def offer(**about):
        file = Remote(about.pop("url", Handler.url), **about)
        monkeypatch.setitem(fetching.SOURCES, "mine", Published("a page", "for research", (file,)))

    Handler.offer = offer
    yield Handler
    httpd.shutdown()
    httpd.server_close()


def test_a_cut_download_goes_on_where_it_was(server, tmp_path):
    server.offer(size=len(DATA), sha256=DIGEST)
    server.cut = 700_000
    with pytest.raises(DataError, match="the same command goes on"):
        fetch("mine", tmp_path, agree=True)
    assert not (tmp_path / "data.zip").exists()
    (file,) = fetch("mine", tmp_path, agree=True)
    assert file.read_bytes() == DATA
    assert server.ranges == [None, "bytes=700000-"]
    assert fetch("mine", tmp_path, agree=True) == [file]  # whole: nothing is asked for again
    assert len(server.ranges) == 2


def test_a_wrong_size_or_hash_is_never_put_in_place(server, tmp_path):
    server.offer(size=len(DATA) + 1)
    with pytest.raises(DataError, match=r"has 1,280,000 bytes there, 1,280,001 were published"):
        fetch("mine", tmp_path, agree=True)
    server.offer(sha256="0" * 64)
    with pytest.raises(DataError, match=f"its sha256 is {DIGEST}, expected 0000"):
        fetch("mine", tmp_path, agree=True)
    assert not (tmp_path / "data.zip").exists()


def test_a_hash_that_nobody_published_is_kept_and_held_against(server, tmp_path):
    server.offer()
    (file,) = fetch("mine", tmp_path, agree=True)
    assert (tmp_path / "data.zip.sha256").read_text() == f"{DIGEST}  data.zip\n"
    file.write_bytes(b"x")
    with pytest.raises(DataError, match="expected"):
        fetch("mine", tmp_path, agree=True)


def test_a_whole_part_of_a_killed_run_is_taken(server, tmp_path):
    server.offer(sha256=DIGEST)
    (tmp_path / ".data.zip.part").write_bytes(DATA)
    assert fetch("mine", tmp_path, agree=True)[0].read_bytes() == DATA


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (["nothing"], 2, "no dataset 'nothing'; there are ucf101, hmdb51"),
        (["ucf101"], 2, "ucf101, 6.9 GB: for research; cite Soomro"),
        (["hmdb51"], 2, "hmdb51, some GB"),
        (["tinyvirat", "--agree"], 2, "on request or by a form"),
        (["mine"], 2, "--agree says that you agree"),
        (["mine", "--agree"], 1, "the server says 404"),
    ],
)
def test_the_command_says_terms_and_errors_in_one_line(server, tmp_path, capsys, call, code, says):
    server.offer(url=server.url.replace("data", "gone"))
    assert cli.main(["fetch", *call, "--out", str(tmp_path)]) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error
    with pytest.raises(UsageError):
        fetch("nothing", tmp_path)
