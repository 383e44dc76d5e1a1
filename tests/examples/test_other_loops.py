"""other_loops.py: the same chain over blocking sockets and under asyncio, served to real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import runpy
import socket
from collections.abc import Iterator

import pytest

from pipeline import Engine, Reply, Result, inbound
from stages import LineFramer, TextCodec
from tests.examples.programs import Client, Server, one_by_one, run, serving

PROGRAM = "examples/other_loops.py"


@pytest.fixture(scope="module", params=["blocking", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(PROGRAM, request.param, "--port", "0") as server:
        yield server


def answer(server: Server, line: str) -> bytes:
    """What the server answers; under asyncio a stage adds a hash."""
    if "asyncio" in server.greeting:
        line = f"{line} {hashlib.sha256(line.encode()).hexdigest()[:8]}"
    return f"{line.upper()}\n".encode()


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "one by one"])
def test_answers_lines_and_pings_in_order(server: Server, *, cut: bool) -> None:
    """The reply of a stage comes out where it belongs; an end of the stream is answered with one."""
    wire = "hello\r\nping\ngrüße\n".encode()
    expected = answer(server, "hello") + b"pong\n" + answer(server, "grüße")
    with Client(server.port) as client:
        client.write(*(one_by_one(wire) if cut else [wire]))
        assert expected == client.read(len(expected))
        client.end()
        assert b"" == client.read_to_end()


@pytest.mark.parametrize("wire", [b"x" * 70_000, b"\xff\n", b"hal"], ids=["too long", "no UTF-8", "cut short"])
def test_what_a_client_does_wrong_ends_its_own_connection_only(server: Server, wire: bytes) -> None:
    with Client(server.port) as client:
        client.write(wire)
        client.end()
        assert b"" == client.read_to_end()
    with Client(server.port) as client:
        client.write(b"hello\n")
        assert answer(server, "hello") == client.read(len(answer(server, "hello")))


@inbound
def answer_at_length(line: str) -> Result[str]:
    return [Reply("x" * 100)] if line == "ping" else [line]


MANY = b"ping\n" * 30 + b"last\n"


def small_engine() -> Engine[str, str]:
    """The answers to MANY, which come in one read, are more than it keeps to be written."""
    return Engine(LineFramer() | TextCodec() | answer_at_length, byte_wire=True, max_reply_bytes=1000)


def test_what_stands_behind_many_replies_needs_no_more_input() -> None:
    """Nobody reads before all that was read is through."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(10)
        there.sendall(MANY)
        assert "last" == next(runpy.run_path(PROGRAM)["items_of"](small_engine(), here))


def test_what_stands_behind_many_replies_needs_no_more_input_under_asyncio() -> None:
    async def first() -> str:
        here, there = socket.socketpair()
        with there:
            there.sendall(MANY)
            reader, writer = await asyncio.open_connection(sock=here)
            items = runpy.run_path(PROGRAM)["async_items_of"](small_engine(), reader, writer)
            async with asyncio.timeout(10):
                item: str = await anext(items)
            writer.close()
            return item

    assert "last" == asyncio.run(first())


def test_alone_it_shows_both() -> None:
    """The chains are the same but for the stage that waits; no trio is needed, nor loaded."""
    without_trio = "import runpy, sys; sys.modules['trio'] = None; del sys.argv[0]"
    done = run("-c", f"{without_trio}; runpy.run_path(sys.argv[0], None, '__main__')", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert "over blocking sockets: LineFramer() | TextCodec() | inbound(answer_pings)\n" in done.stdout
    assert "under asyncio: LineFramer() | TextCodec() | inbound(answer_pings) | Fingerprint()\n" in done.stdout
    assert 2 == done.stdout.count("->  b'pong\\n'")


@pytest.mark.parametrize("loop", ["blocking", "asyncio"])
def test_ends_on_ctrl_c(loop: str) -> None:
    with serving(PROGRAM, loop, "--port", "0") as server:
        assert "closed\n" == server.stop()
