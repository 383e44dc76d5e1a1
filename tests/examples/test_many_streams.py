"""many_streams.py: many streams over one connection, as server and client over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.programs import Client, Server, run, serving

PROGRAM = "examples/many_streams.py"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        yield server


def check_conversation(lines: list[str]) -> None:
    """What the client prints: the stream that was begun first is over last."""
    assert sorted(lines[:-1]) == [
        "a stream takes too long: that one is given up, the others go on",
        "colours: blue, green, red",
        "the server gave up a stream: more than 100 lines",
    ]
    assert "fruit: apple, fig, pear" == lines[-1]


def test_each_stream_is_sorted_for_itself(server: Server) -> None:
    """One that takes too long, and one that is too long, cost the others nothing."""
    done = run(PROGRAM, "ask", "--port", str(server.port))
    assert (done.returncode, done.stderr) == (0, "")
    check_conversation(done.stdout.splitlines())
    server.wait_for("was given up: not needed any more")


def test_alone_it_shows_both() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    greeting, *lines = done.stdout.splitlines()
    assert "LineFramer(max_bytes=4096) | JSONCodec()" in greeting
    check_conversation([line for line in lines if not line.startswith("stream ")])


def test_server_answers_streams_in_the_order_in_which_they_end(server: Server) -> None:
    """However they are mixed on the wire."""
    sent = (
        b'{"stream":"a","line":"z"}\n{"stream":"b","line":"y"}\n{"stream":"a","line":"x"}\n{"stream":"b","end":true}\n'
    )
    with Client(server.port) as client:
        client.write(sent)
        answer = b'{"stream":"b","line":"y"}\n{"stream":"b","end":true}\n'
        assert answer == client.read(len(answer))
        client.write(b'{"stream":"a","end":true}\n')
        answer = b'{"stream":"a","line":"x"}\n{"stream":"a","line":"z"}\n{"stream":"a","end":true}\n'
        assert answer == client.read(len(answer))


def test_server_ends_on_ctrl_c() -> None:
    with serving(PROGRAM, "serve", "--port", "0") as server, Client(server.port):
        assert server.stop() == "closed\n"
