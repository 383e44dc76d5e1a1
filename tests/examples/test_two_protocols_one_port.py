"""two_protocols_one_port.py: the real server, spoken to in both ways over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.programs import Client, Server, one_by_one, run, serving

PROGRAM = "examples/two_protocols_one_port.py"
TEXT = b'{"name": "Ada"} {"name": "Bob"}'
BINARY = b'\0\0\0\x0f{"name": "Ada"}\0\0\0\x0f{"name": "Bob"}'
TEXT_ANSWER = b'{"hello":"Ada"}{"hello":"Bob"}'
BINARY_ANSWER = b'\0\0\0\x0f{"hello":"Ada"}\0\0\0\x0f{"hello":"Bob"}'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        yield server


def test_alone_it_shows_both_kinds_of_client() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert [
        "JSONFramer(max_bytes=1000) | JSONCodec()  ->  {'hello': 'Ada'}",
        "LengthFramer(4, max_bytes=1000) | JSONCodec()  ->  {'hello': 'Ada'}",
    ] == done.stdout.splitlines()[1:]


@pytest.mark.parametrize(("asked", "answered"), [(TEXT, TEXT_ANSWER), (BINARY, BINARY_ANSWER)], ids=["text", "binary"])
def test_both_are_served_from_the_first_byte_on(server: Server, asked: bytes, answered: bytes) -> None:
    """Whole, cut behind the first byte, and byte by byte."""
    for pieces in ([asked], [asked[:1], asked[1:]], [asked[:2], asked[2:]], one_by_one(asked)):
        with Client(server.port) as client:
            client.write(*pieces)
            client.end()
            assert answered == client.read_to_end()


def test_a_client_that_says_nothing_is_let_go(server: Server) -> None:
    with Client(server.port) as client:
        client.end()
        assert b"" == client.read_to_end()


@pytest.mark.parametrize("wire", [b"hello", b"\0\0\xff\xff", b"[1]", b"{}", b"\0\0\0\x01{"])
def test_what_is_neither_is_told_so(server: Server, wire: bytes) -> None:
    with Client(server.port) as client:
        client.write(wire)
        assert b'{"error":"that is neither"}' in client.read_to_end()


def test_logs_what_was_chosen_and_ends_on_ctrl_c() -> None:
    with serving(PROGRAM, "serve", "--port", "0") as server, Client(server.port) as client:
        client.write(TEXT)
        client.read(len(TEXT_ANSWER))
        log = server.stop()
    assert "greeter b'{': JSONFramer(max_bytes=1000) | JSONCodec()" in log
    assert log.endswith("closed\n")
