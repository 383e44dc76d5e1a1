"""upgrade.py: the real server and client, over real sockets; the switch in the middle of a segment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.programs import Client, Server, one_by_one, run, serving

PROGRAM = "examples/upgrade.py"
ASKED = b"hi\nUPGRADE frames\n\0\x03a\nb\0\0\0\x0eUPGRADE frames"
ANSWERED = b"you said: hi\n101 frames\n\0\x0dyou said: a\nb\0\x0ayou said: \0\x18you said: UPGRADE frames"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        yield server


def test_alone_it_shows_both_ends() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert [
        r"'hello'  ->  'you said: hello'",
        r"'UPGRADE frames'  ->  '101 frames'",
        r"'a\nb\nc'  ->  'you said: a\nb\nc'",
        "the client's chain is now LengthFramer(2, max_bytes=1000) | TextCodec()",
    ] == done.stdout.splitlines()[1:]


def test_the_switch_and_what_follows_in_one_segment(server: Server) -> None:
    with Client(server.port) as client:
        client.write(ASKED)
        assert ANSWERED == client.read(len(ANSWERED))
        client.end()
        assert b"" == client.read_to_end()


@pytest.mark.parametrize("place", range(1, len(ASKED)))
def test_cut_at_every_place(server: Server, place: int) -> None:
    with Client(server.port) as client:
        client.write(ASKED[:place], ASKED[place:])
        client.end()
        assert ANSWERED == client.read_to_end()


def test_byte_by_byte(server: Server) -> None:
    with Client(server.port) as client:
        client.write(*one_by_one(ASKED))
        client.end()
        assert ANSWERED == client.read_to_end()


def test_what_is_no_text_is_answered_in_the_framing_of_the_moment(server: Server) -> None:
    for asked, answered in [(b"\xff\n", b"400 that"), (b"UPGRADE frames\n\0\1\xff", b"101 frames\n\0\x20400 that")]:
        with Client(server.port) as client:
            client.write(asked)
            assert client.read_to_end().startswith(answered)


def test_ends_on_ctrl_c() -> None:
    with serving(PROGRAM, "serve", "--port", "0") as server:
        assert server.stop().endswith("closed\n")
