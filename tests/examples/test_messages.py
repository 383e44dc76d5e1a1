"""messages.py: a codec of one's own, as server and client over real sockets."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest

from pipeline import FrameError
from pipeline.testing import Harness, check_codec
from tests.code_blocks import ROOT
from tests.examples.programs import Client, Server, one_by_one, run, serving

PROGRAM = "examples/messages.py"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        yield server


@pytest.mark.parametrize(
    ("wire", "answers"),
    [
        (b"PING:\n", b"PONG:ack\n"),
        (b"PING:hello\r\nPING\n", b"PONG:ack\nPONG:ack\n"),
        (b"DANCE:tango\n", b"ERROR:unknown type DANCE\n"),
        (b"ping:\n", b"ERROR:unknown type ping\n"),
        (b"\n", b"ERROR:unknown type \n"),
        ("TÄNZE:\n".encode("latin-1"), "ERROR:unknown type T\ufffdNZE\n".encode()),
        (b"EXIT:\nPING:\n", b""),
        (b"PING:\nEXIT\n", b"PONG:ack\n"),
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "one by one"])
def test_server_answers(server: Server, wire: bytes, answers: bytes, *, cut: bool) -> None:
    """EXIT ends the connection; an unknown type does not."""
    wire += b"EXIT:bye\n"
    with Client(server.port) as client:
        with suppress(ConnectionError):  # behind the first EXIT nobody reads, and nobody has to
            client.write(*(one_by_one(wire) if cut else [wire]))
        assert answers == client.read_to_end()


def test_server_survives_a_line_that_is_too_long(server: Server) -> None:
    with Client(server.port) as client:
        client.write(b"x" * 10_000)
        assert b"" == client.read_to_end()
    with Client(server.port) as client:
        client.write(b"PING:\n")
        assert b"PONG:ack\n" == client.read(9)


def test_client_shows_messages_and_answers(server: Server) -> None:
    """It ends with the server's end of the connection, or with its own last message."""
    done = run(PROGRAM, "send", "--port", str(server.port), "PING:hello", "EXIT", "PING:unheard")
    assert done.stdout.splitlines() == [
        "Message(type='PING', data='hello')  ->  Message(type='PONG', data='ack')",
        "Message(type='EXIT', data='')  ->  the connection was closed",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_alone_it_shows_both(server: Server) -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert "LineFramer(max_bytes=4096) | TextCodec(errors='replace') | MessageCodec()" in done.stdout
    assert "->  Message(type='ERROR', data='unknown type DANCE')" in done.stdout
    assert done.stdout.endswith("->  the connection was closed\n")


def test_server_ends_on_ctrl_c() -> None:
    with serving(PROGRAM, "serve", "--port", "0") as server, Client(server.port):
        assert server.stop() == "closed\n"


# ---- the codec, alone


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    """The program's names; importing it runs nothing."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / PROGRAM)))


def test_messages_come_back_as_they_were_sent(example: SimpleNamespace) -> None:
    """Colons in the data are data; so is what looks like the end of a line in text only."""
    pairs = [("PING", "hello"), ("PING", ""), ("", ""), ("A", "b:c"), ("grüße", "\u2028")]
    check_codec(example.make_chain, [example.Message(*pair) for pair in pairs])


@pytest.mark.parametrize(
    ("type_", "data", "why"),
    [("PING:PONG", "x", "leave the colon out of it"), ("PING", "x\nEXIT", "Send one line an item")],
    ids=["colon in the type", "line break"],
)
def test_what_the_peer_would_read_otherwise_is_refused(
    example: SimpleNamespace, type_: str, data: str, why: str
) -> None:
    """A colon in the type is the encoder's to refuse, a line break the framer's; the next message goes out."""
    harness = Harness(example.make_chain())
    with pytest.raises((ValueError, FrameError), match=why):
        harness.send(example.Message(type_, data))
    assert [b"PING:\n"] == harness.send(example.Message("PING"))
