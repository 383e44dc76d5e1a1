"""generator_parser.py: a parser as a generator, talking to itself and to others."""

from __future__ import annotations

from tests.examples.programs import Client, one_by_one, run, serving

PROGRAM = "examples/generator_parser.py"


def test_it_talks_to_itself() -> None:
    done = run(PROGRAM)
    assert ("", 0) == (done.stderr, done.returncode)
    assert "STORED\nVALUE tea 0 12\ngreen\nblack\nEND\nERROR\nEND\n" == done.stdout


def test_it_serves_byte_by_byte_and_ends_with_quit() -> None:
    with serving(PROGRAM, "--port", "0") as server:
        with Client(server.port) as client:
            client.write(*one_by_one(b"set a 0 0 2\r\n\r\n\r\nset b 0 0 x\r\nget a\r\nquit\r\nget a\r\n"))
            assert b"STORED\r\nERROR\r\nVALUE a 0 2\r\n\r\n\r\nEND\r\n" == client.read_to_end()
        assert "closed\n" == server.stop()
