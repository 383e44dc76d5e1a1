"""static_http.py: what browsers and curl ask for, and what they must not get."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.programs import SECONDS, Client, Server, serving

PROGRAM = "examples/static_http.py"
BIG = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    outside = tmp_path_factory.mktemp("static")
    (outside / "secret.txt").write_text("secret")
    root = outside / "root"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<p>home")
    (root / "a b.txt").write_text("text")
    (root / "empty").write_bytes(b"")
    (root / "sub" / "big.bin").write_bytes(BIG)
    (root / "link").symlink_to(outside / "secret.txt")
    with serving(PROGRAM, "--port", "0", str(root)) as server:
        yield server


def get(server: Server, path: str, method: str = "GET") -> tuple[int, str | None, bytes]:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html", b"<p>home"),
        ("/a%20b.txt?x=1", "text/plain", b"text"),
        ("/empty", "application/octet-stream", b""),
        ("/sub/big.bin", "application/octet-stream", BIG),
        ("/sub/../index.html", "text/html", b"<p>home"),
    ],
)
def test_files_are_served(server: Server, path: str, kind: str, body: bytes) -> None:
    assert (200, kind, body) == get(server, path)


@pytest.mark.parametrize(
    "path", ["/nothing", "/sub", "/link", "/../secret.txt", "/%2e%2e/secret.txt", "//etc/passwd", "/%00", "/sub/%ff"]
)
def test_what_is_not_there_or_outside_is_not_found(server: Server, path: str) -> None:
    done = subprocess.run(
        ["curl", "-sS", "--path-as-is", "-o", "-", "-w", "%{http_code}", f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    assert b"There is no such file\n404" == done.stdout


def test_head_has_the_length_and_no_body(server: Server) -> None:
    assert (200, "application/octet-stream", b"") == get(server, "/sub/big.bin", "HEAD")
    assert (404, "text/plain; charset=utf-8", b"") == get(server, "/nothing", "HEAD")


def test_other_methods_are_refused(server: Server) -> None:
    assert 405 == get(server, "/", "DELETE")[0]


def test_one_connection_serves_many(server: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}"
    command = ["curl", "-sSv", "--http1.1", f"{url}/", f"{url}/nothing", "-I", f"{url}/empty"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=SECONDS, check=True)
    assert 2 == done.stderr.count(b"Re-using existing connection")


def test_what_is_no_http_is_told(server: Server) -> None:
    with Client(server.port) as client:
        client.write(b"HELLO\r\n\r\n")
        assert client.read_to_end().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    server.wait_for("closing: illegal request line")
