"""irc_bot.py: against ngircd, with another client in the channel; and servers that refuse."""

from __future__ import annotations

import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.code_blocks import ROOT
from tests.examples.mail_servers import scripted
from tests.examples.programs import SECONDS, Client, run
from tests.ports import free_port
from tests.stages.protocols.ircd import needs_ngircd, ngircd

PROGRAM = "examples/irc_bot.py"


class Talker(Client):
    """Another client in the channel, by hand."""

    def __init__(self, port: int, nick: str) -> None:
        super().__init__(port)
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\r\n")
        self.say(f"NICK {nick}\r\nUSER {nick} 0 * :{nick}")
        self.say(f"PONG {self.hear('PING').split(':')[-1]}\r\nJOIN #bots")
        self.hear("JOIN")

    def say(self, line: str) -> None:
        self.write(f"{line}\r\n".encode())

    def hear(self, text: str) -> str:
        """The next line that has this in it."""
        for line in self.lines:
            if text in line:
                return line.removesuffix("\r\n")
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        super().__exit__()


@contextmanager
def bot(port: int, nick: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", PROGRAM, "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--channel", "#bots", "--nick", nick],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@needs_ngircd
def test_it_registers_joins_greets_and_does_what_it_is_told(tmp_path: Path) -> None:
    """Under another nick, as the one that it wanted is taken."""
    with ngircd(tmp_path) as port, Talker(port, "penny") as penny, bot(port, "penny") as process:
        penny.hear(":penny_!")
        for said, answer in [("!hello", "hello, penny"), ("!echo grüße  :)", "grüße  :)"), ("!hello", "hello, penny")]:
            penny.say(f"PRIVMSG #bots :nothing for it\r\nPRIVMSG #bots :{said}")
            assert answer == penny.hear("PRIVMSG #bots").split(" ", 3)[3].removeprefix(":")
        with Talker(port, "ada"):
            assert penny.hear("welcome").endswith("PRIVMSG #bots :welcome, ada")
        penny.say("PRIVMSG #bots !leave")
        penny.hear("penny said so")
        printed, _ = process.communicate(timeout=SECONDS)
    assert printed.startswith("penny_ is in #bots\n")
    assert 0 == process.returncode


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([b"ERROR :Closing Link\r\n"], "PipelineError: the server refused: Closing Link\n"),
        ([b"x" * 9000], "FrameTooLongError: LineFramer"),
    ],
)
def test_a_server_that_refuses(answers: list[bytes], says: str) -> None:
    with scripted(*answers) as port:
        done = run(PROGRAM, "127.0.0.1", "--port", str(port))
    assert 1 == done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b":mx NOTICE * :hello\r\n", "PipelineError: the server ended the connection\n"),
        (b":mx NOT", "IncompleteFrameError: LineFramer: the stream ended 7 bytes into a line"),
    ],
)
def test_a_server_that_leaves(said: bytes, says: str) -> None:
    def leave() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=leave)
        thread.start()
        done = run(PROGRAM, "127.0.0.1", "--port", str(listener.getsockname()[1]))
        thread.join(SECONDS)
    assert 1 == done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_it_says_so_and_ends() -> None:
    done = run(PROGRAM, "127.0.0.1", "--port", str(free_port()))
    assert 1 == done.returncode
    assert "all attempts to connect" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_it_answers() -> None:
    answer_to = runpy.run_path(str(ROOT / PROGRAM))["answer_to"]
    assert ["hello, ada", "a b", ""] == [answer_to(text, "ada") for text in ("!hello", "!echo a b", "hello")]
