"""Penstock at work, in a few seconds: a chat server, a client, a tap between them, and a tested stage.

    make demo        or        python examples/demo.py

The exit status is 0 only if every reply was right.
"""

from __future__ import annotations

import inspect
import io
import logging
import os
import sys
import textwrap
import time
from dataclasses import dataclass
from functools import partial

import chat_server
import trio

from pipeline import serve_tcp
from pipeline.testing import Harness
from stages import LineFramer

HOST = "127.0.0.1"
SECONDS = 10
"""After so long the demo gives up; it takes well under one second."""

IN_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


@dataclass(frozen=True)
class Exchange:
    """What the client writes, and what it must read then; `expected` b"": the end of the stream."""

    about: str
    writes: list[bytes]
    expected: bytes


CONVERSATION = [
    Exchange("a line, as telnet sends it", [b"hello\r\n"], b"You sent: hello\r\n"),
    Exchange("another, as nc sends it", [b"hello from nc\n"], b"You sent: hello from nc\r\n"),
    Exchange("two lines in one write", [b"one\r\ntwo\r\n"], b"You sent: one\r\nYou sent: two\r\n"),
    Exchange(
        "one byte at a time", [bytes([byte]) for byte in "naïve café\r\n".encode()], "You sent: naïve café\r\n".encode()
    ),
    Exchange("a single . closes", [b".\r\n"], b""),
]


def main() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no arrows shows ? for them
    print(colour("1", "\nPenstock: stages chain between a trio stream and your code"))
    show_chain()
    wrong = trio.run(show_conversation)
    show_unit_test()
    if wrong:
        print(colour("31", f"\n{wrong} of {len(CONVERSATION)} replies were wrong."))
        return 1
    print(colour("32", f"\nAll {len(CONVERSATION)} replies were right."))
    print("Read on: README.md, then examples/chat_server.py, the server that just ran.")
    return 0


def show_chain() -> None:
    heading("1  The chain of each connection, from wire to client")
    print(f"    {chat_server.make_chain()!r}\n")
    print("                  inbound ─►")
    print("     trio stream │ LineFramer │ TextCodec │ Logger │ your code")
    print("                  ◄─ outbound")


async def show_conversation() -> int:
    """Start the server, be its client, and return how many replies were wrong."""
    log_to_the_terminal()
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), chat_server.chat, 0, chat_server.make_chain)
        port = listener.socket.getsockname()[1]
        heading(f"2  A conversation with the chat server on {HOST}:{port}, as its client and its tap see it")
        wrong = len(CONVERSATION)
        try:
            with trio.fail_after(SECONDS):
                wrong = await converse(port)
        except trio.TooSlowError:
            print(colour("31", f"    no answer within {SECONDS} seconds"))
        except trio.BrokenResourceError as error:
            print(colour("31", f"    {error}"))
        nursery.cancel_scope.cancel()
    return wrong


async def converse(port: int) -> int:
    """Say everything over one connection; the client is a plain trio stream, so that nothing is hidden."""
    wrong = 0
    async with await trio.open_tcp_stream(HOST, port) as stream:
        for exchange in CONVERSATION:
            print(colour("2", f"    # {exchange.about}"))
            print(f"    client writes   {'  '.join(map(repr, exchange.writes))}")
            for data in exchange.writes:
                await stream.send_all(data)
            received = await read_as_much(stream, exchange.expected)
            right = received == exchange.expected
            wrong += not right
            print(f"    client reads    {verdict(received, right=right)}\n")
    return wrong


async def read_as_much(stream: trio.abc.ReceiveStream, expected: bytes) -> bytes:
    """As many bytes as are expected; fewer, if the stream ends before; where its end is expected, any."""
    received = b""
    while not expected or len(received) < len(expected):
        data = await stream.receive_some()
        if not data:
            break
        received += data
    return received


def show_unit_test() -> None:
    heading("3  One of its stages, tested alone in three lines")
    source = inspect.getsource(unit_test).partition("\n")[2]
    print(textwrap.indent(textwrap.dedent(source), "    "))
    began = time.perf_counter()
    unit_test()
    milliseconds = (time.perf_counter() - began) * 1000
    print(f"    {colour('32', '✓ passed')} in {milliseconds:.1f} ms: no socket, no event loop")


def unit_test() -> None:
    harness = Harness(LineFramer())
    assert harness.receive(b"hel", b"lo\r\nwor") == [b"hello"]
    assert harness.receive(b"ld\n") == [b"world"]


# ---- how it looks


def log_to_the_terminal() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"    {colour('36', '      the tap   %(message)s')}"))
    logging.getLogger("chat").addHandler(handler)
    logging.getLogger("chat").setLevel(logging.DEBUG)


def heading(text: str) -> None:
    print(f"\n{colour('1', text)}\n")


def verdict(received: bytes, *, right: bool) -> str:
    shown = repr(received) if received else "the end of the stream"
    return f"{shown}  {colour('32', '✓') if right else colour('31', '✗ wrong')}"


def colour(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if IN_COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
