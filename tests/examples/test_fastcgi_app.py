"""fastcgi_app.py: behind nginx, and asked by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.programs import Client, Server, serving
from tests.stages.protocols.fastcgi_peer import begin, params, records, request, stdin
from tests.stages.protocols.programs import needs, nginx, run

PROGRAM = "examples/fastcgi_app.py"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "--port", "0") as server:
        yield server


def ask(server: Server, wire: bytes, end: bytes) -> str:
    """Send a request; what the response says, up to the end of the connection."""
    with Client(server.port) as client:
        client.write(wire)
        said = b"".join(each[2] for each in records(client.read_to_end()) if each[0] == "Stdout")
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(end)
        return body.decode()


def test_it_tells_what_it_was_asked_with(server: Server) -> None:
    wire = request(keep=False, REQUEST_METHOD="GET", DOCUMENT_URI="/")
    assert "REQUEST_METHOD=GET\nDOCUMENT_URI=/\n" == ask(server, wire, b"Status: 200 OK\r\n")


def test_other_paths_are_not_found(server: Server) -> None:
    wire = request(keep=False, REQUEST_METHOD="GET", DOCUMENT_URI="/x")
    assert "There is /" in ask(server, wire, b"Status: 404 Not Found\r\n")


def test_a_body_is_taken_piece_by_piece(server: Server) -> None:
    pieces = [b"a" * 65535] * 40
    head = begin(keep=False) + params(REQUEST_METHOD="POST", DOCUMENT_URI="/digest")
    answer = ask(server, head + stdin(*pieces, b""), b"Status: 200 OK\r\n")
    assert f"{40 * 65535} bytes, {hashlib.sha256(b''.join(pieces)).hexdigest()}\n" == answer


def test_a_request_that_the_web_server_drops_is_told() -> None:
    with serving(PROGRAM, "--port", "0") as server:
        with Client(server.port) as client:
            client.write(begin() + params(REQUEST_METHOD="POST", DOCUMENT_URI="/upper") + stdin(b"half"))
            answer = b""
            while b"HALF" not in answer:  # one that is dropped before somebody has begun with it is told to nobody
                answer += client.read(1) or pytest.fail(f"the answer ended: {answer!r}")
        server.wait_for("a request was given up: FastCGI: the web server has aborted request 1")
        assert server.stop().endswith("closed\n")


@pytest.mark.real_time
@needs("nginx")
@needs("curl")
async def test_nginx_and_curl_get_what_they_ask_for(server: Server, tmp_path: Path) -> None:
    """With nginx's own `fastcgi_params`, as the program says."""
    location = f"location / {{ include /etc/nginx/fastcgi_params; fastcgi_pass 127.0.0.1:{server.port}; }}"
    async with nginx(tmp_path, location) as port:
        done = await run("curl", "-sS", "-d", "some text", f"http://127.0.0.1:{port}/upper")
        assert b"SOME TEXT" == done.stdout
        done = await run("curl", "-sS", f"http://127.0.0.1:{port}/?a=b")
        assert b"\nQUERY_STRING=a=b\n" in b"\n" + done.stdout
