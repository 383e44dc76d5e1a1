"""calls.py: many tasks that ask over one connection, as server and client over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.examples.programs import Client, Server, run, serving

PROGRAM = "examples/calls.py"
HELLO = b'{"method":"hello","params":{"from":"the server"}}\n'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        yield server


def check_conversation(lines: list[str]) -> None:
    """What the client prints: each task its own answer, the slow one's last."""
    assert "hello from the server" == lines[0]
    assert sorted(lines[1:4]) == [
        "the square of 12 takes too long: that one is cancelled, the others go on",
        "the square of 4 is 16",
        "the square of a circle: that cannot be squared",
    ]
    assert ["the square of 3 is 9", "answers to those who had left: 1"] == lines[4:]


def test_each_task_gets_its_own_answer(server: Server) -> None:
    """The one that is cancelled costs the others nothing."""
    done = run(PROGRAM, "ask", "--port", str(server.port))
    assert (done.returncode, done.stderr) == (0, "")
    check_conversation(done.stdout.splitlines())


def test_alone_it_shows_both() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    greeting, *lines = done.stdout.splitlines()
    assert "LineFramer(max_bytes=4096) | JSONCodec()" in greeting
    check_conversation(lines)


def test_server_answers_a_quick_request_before_a_slow_one(server: Server) -> None:
    """Both came at once."""
    requests = [{"id": 1, "method": "square", "params": {"of": 3, "seconds": 0.5}}]
    requests.append({"id": 2, "method": "square", "params": {"of": 4, "seconds": 0}})
    answers = [b'{"id":2,"result":16}\n', b'{"id":1,"result":9}\n']
    with Client(server.port) as client:
        client.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        assert HELLO + b"".join(answers) == client.read(len(HELLO) + len(b"".join(answers)))


def test_server_says_what_it_cannot_do(server: Server) -> None:
    """To whoever can be answered; what has no id is passed over."""
    with Client(server.port) as client:
        client.write(
            b'{"id":"x","method":"cube"}\n{"method":"square"}\n{"id":5,"method":"square","params":{"of":2,"seconds":0}}\n'
        )
        answers = b'{"id":"x","error":"that cannot be squared"}\n', b'{"id":5,"result":4}\n'
        read = client.read(len(HELLO) + sum(map(len, answers)))
        assert {HELLO, *answers} == set(read.splitlines(keepends=True))


def test_server_ends_on_ctrl_c() -> None:
    with serving(PROGRAM, "serve", "--port", "0") as server, Client(server.port):
        assert server.stop() == "closed\n"
