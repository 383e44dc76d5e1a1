"""chat_server.py and chat_client.py: the real programs, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.programs import Client, Server, one_by_one, run, serving
from tests.ports import free_port

GOODBYE = b"Goodbye: that is too long, or no line of text\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("examples/chat_server.py", "--port", "0") as server:
        yield server


def check_serves(server: Server) -> None:
    """Whether somebody who comes now is served."""
    with Client(server.port) as client:
        client.write(b"hello\r\n")
        assert client.read(17) == b"You sent: hello\r\n"


def test_says_where_it_is_and_what_its_chain_is(server: Server) -> None:
    assert "LineFramer(max_bytes=1024) | TextCodec() | Logger('chat')" in server.greeting


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"], ids=["telnet", "nc"])
def test_answers_each_line(server: Server, ending: bytes) -> None:
    """Whichever way a line ends, the answer ends in CRLF."""
    with Client(server.port) as client:
        for line in (b"hello", b"", b"You sent: hello", "grüße".encode()):
            answer = b"You sent: " + line + b"\r\n"
            client.write(line + ending)
            assert answer == client.read(len(answer))


def test_one_byte_at_a_time(server: Server) -> None:
    """A character, or an ending, cut in two makes no difference."""
    with Client(server.port) as client:
        client.write(*one_by_one("grüße\r\nonce more\n.\r\n".encode()))
        assert "You sent: grüße\r\nYou sent: once more\r\n".encode() == client.read_to_end()


def test_many_lines_in_one_write(server: Server) -> None:
    with Client(server.port) as client:
        client.write(b"a\nb\r\n" * 500 + b".\n")
        assert b"You sent: a\r\nYou sent: b\r\n" * 500 == client.read_to_end()


def test_a_single_dot_closes(server: Server) -> None:
    """What comes behind it is not answered, and does not cost the client the answers before."""
    with Client(server.port) as client:
        client.write(b"..\r\n.\r\nmore\r\n")
        assert b"You sent: ..\r\n" == client.read_to_end()


def test_a_client_that_is_done_sending_gets_all_answers(server: Server) -> None:
    """So `nc -N` does: it half-closes where its input ends."""
    with Client(server.port) as client:
        client.write(b"hello\n")
        client.end()
        assert b"You sent: hello\r\n" == client.read_to_end()


@pytest.mark.parametrize(
    "wire", [b"x" * 1024 + b"x\r\n", b"x" * 100_000, b"caf\xe9s\r\n"], ids=["too long", "endless", "no UTF-8"]
)
def test_what_is_no_line_of_text_ends_this_connection_only(server: Server, wire: bytes) -> None:
    """The lines before it are answered, then the client is told, and all others go on."""
    with Client(server.port) as other, Client(server.port) as client:
        client.write(b"hello\r\n" + wire)
        assert b"You sent: hello\r\n" + GOODBYE == client.read_to_end()
        other.write(b"hello\r\n")
        assert b"You sent: hello\r\n" == other.read(17)
    check_serves(server)


def test_the_longest_line(server: Server) -> None:
    with Client(server.port) as client:
        client.write(b"x" * 1024 + b"\r\n")
        assert b"You sent: " + b"x" * 1024 + b"\r\n" == client.read(1036)


@pytest.mark.parametrize("wire", [b"", b"hal", b"hello\r\nhal"], ids=["at once", "in mid-line", "with answers unread"])
def test_survives_a_client_that_vanishes(server: Server, wire: bytes) -> None:
    with Client(server.port) as client:
        client.write(wire)
        client.vanish()
    check_serves(server)


def test_many_clients_at_once(server: Server) -> None:
    clients = [Client(server.port) for _ in range(20)]
    for number, client in enumerate(clients):
        client.write(b"%d\n" % number)
    for number, client in enumerate(clients):
        answer = b"You sent: %d\r\n" % number
        assert answer == client.read(len(answer))
        client.socket.close()


def test_logs_both_directions_and_ends_on_ctrl_c() -> None:
    """A client that is still there is let go; nothing that any client did leaves a traceback in the log."""
    with serving("examples/chat_server.py", "--port", "0") as server, Client(server.port) as client:
        client.write(b"hello\r\n")
        client.read(17)
        with Client(server.port) as rude:
            rude.write(b"x" * 3000)
            rude.read_to_end()
        with Client(server.port) as gone:
            gone.write(b"hal")
            gone.vanish()
        server.wait_for("the client vanished")
        check_serves(server)
        log = server.stop()

    assert "chat → in  'hello'\n" in log
    assert "chat ← out 'You sent: hello'\n" in log
    assert "max_bytes=1024" in log
    assert "chat the client vanished\n" in log
    assert log.endswith("chat server closed\n")
    assert "Traceback" not in log


def test_client_shows_the_answer_to_each_line(server: Server) -> None:
    """Its input ends without a newline, and without a `.`, as a file may."""
    done = run("examples/chat_client.py", "--port", str(server.port), stdin="hello\ngrüße\n\nbye")
    assert done.stdout == "You sent: hello\nYou sent: grüße\nYou sent: \nYou sent: bye\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_client_ends_when_the_server_closes(server: Server) -> None:
    done = run("examples/chat_client.py", "--port", str(server.port), stdin="hello\n.\nunheard\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "You sent: hello\n", "")


def test_client_without_a_server_says_how_to_start_it() -> None:
    done = run("examples/chat_client.py", "--port", str(free_port()), stdin="hello\n")
    assert done.returncode == 1
    assert "Is the server running? python examples/chat_server.py" in done.stderr
    assert "Traceback" not in done.stderr
