"""live_tap.py: the real server, looked into from outside while it talks."""

from __future__ import annotations

import re

from tests.examples.programs import Client, Server, run, serving

PROGRAM = "examples/live_tap.py"


def operator_of(server: Server) -> Client:
    port = re.search(r"operators on port (\d+)", server.greeting)
    assert port, server.greeting
    return Client(int(port[1]))


def exchange(client: Client, asked: bytes, answered: bytes) -> None:
    client.write(asked)
    assert answered == client.read(len(answered))


def test_alone_it_shows_client_and_operator() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert 1 == done.stdout.count("client 1 → in  b'hello'")
    assert 1 == done.stdout.count("client 1 ← out b'NOR THIS'")
    assert "nobody" not in "".join(line for line in done.stdout.splitlines() if line.startswith("client 1"))


def test_a_tap_goes_in_and_out_while_the_client_is_in_the_middle_of_a_line() -> None:
    with serving(PROGRAM, "serve", "--port", "0", "--operators-port", "0") as server:
        with Client(server.port) as client, operator_of(server) as operator:
            exchange(client, b"unseen\n", b"UNSEEN\n")
            client.write(b"hel")
            exchange(operator, b"list\n", b"1: LineFramer(max_bytes=1000) | TextCodec()\n")
            tapped = b"1: LineFramer(max_bytes=1000) | Logger('client 1', level=20) | TextCodec()\n"
            exchange(operator, b"tap 1\n", tapped)
            exchange(operator, b"tap 1\n", b"not done: it has one\n")
            exchange(client, b"lo\n", b"HELLO\n")
            server.wait_for("client 1 ← out b'HELLO'")
            exchange(operator, b"untap 1\n", b"1: LineFramer(max_bytes=1000) | TextCodec()\n")
            exchange(operator, b"untap 1\n", b"not done: Logger is not in the chain")
            exchange(client, b"unheard\n", b"UNHEARD\n")
        log = server.stop()
    assert "client 1 → in  b'hello'\n" in log
    assert "unseen" not in log.lower()
    assert "unheard" not in log.lower()
    assert "Traceback" not in log
    assert log.endswith("closed\n")


def test_an_operator_who_says_what_is_no_command_is_told() -> None:
    with serving(PROGRAM, "serve", "--port", "0", "--operators-port", "0") as server, operator_of(server) as operator:
        exchange(operator, b"list\n", b"nobody\n")
        for line in (b"tap 7\n", b"tap x\n", b"\n"):
            exchange(operator, line, b"say `list`, `tap 1` or `untap 1`, with a number from the list\n")
