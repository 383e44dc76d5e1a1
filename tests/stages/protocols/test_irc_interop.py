"""IRC against a server that nobody here wrote: ngircd, which registers nobody who has not answered its PING."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
import trio

from pipeline import Pipeline, open_tcp_pipeline
from stages import IRC, IRCMessage, LineFramer, Rechunk

from .ircd import needs_ngircd, ngircd

pytestmark = [pytest.mark.real_time, needs_ngircd]

Connection: TypeAlias = Pipeline[IRCMessage, IRCMessage]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with ngircd(tmp_path_factory.mktemp("ngircd")) as port:
        yield port


@asynccontextmanager
async def connected(port: int, nick: str, *, step: int = 65536) -> AsyncIterator[Connection]:
    """A client that is registered and in #chat."""
    chain = Rechunk(step) | LineFramer(max_bytes=8701, ending="crlf") | IRC()
    with trio.fail_after(60):
        async with await open_tcp_pipeline("127.0.0.1", port, chain) as client:
            await client.send_many(
                [IRCMessage("NICK", nick), IRCMessage("USER", nick, "0", "*", f"{nick} of the test")]
            )
            welcome = await until(client, "001")
            assert (nick, "irc.test.example") == (welcome.params[0], welcome.source)
            await client.send(IRCMessage("JOIN", "#chat"))
            joined = await until(client, "JOIN")
            assert (nick, ("#chat",)) == (joined.nick, joined.params)
            yield client


async def until(client: Connection, command: str) -> IRCMessage:
    async for message in client:
        if message.command == command:
            return message
    raise AssertionError


@pytest.mark.parametrize("step", [1, 65536])
async def test_two_clients_talk(port: int, step: int) -> None:
    async with connected(port, "ada", step=step) as ada, connected(port, "bob", step=step) as bob:
        assert "bob" == (await until(ada, "JOIN")).nick
        for text in ("good morning", ":)", "  two  spaces", "grüße", "x" * 400):
            await bob.send(IRCMessage("PRIVMSG", "#chat", text))
            heard = await until(ada, "PRIVMSG")
            assert ("bob", ("#chat", text)) == (heard.nick, heard.params)
        await bob.send(IRCMessage("QUIT", "that is all"))
        assert "ERROR" == (await until(bob, "ERROR")).command
        with pytest.raises(trio.EndOfChannel):
            await bob.receive()
        left = await until(ada, "QUIT")
        assert ("bob", True) == (left.nick, "that is all" in left.params[-1])


async def test_an_unknown_command_is_the_servers_to_refuse(port: int) -> None:
    async with connected(port, "eve") as eve:
        await eve.send(IRCMessage("NOSUCHCOMMAND", "x"))
        assert ("eve", "NOSUCHCOMMAND") == (await until(eve, "421")).params[:2]
        await eve.send(IRCMessage("PING", "token"))
        assert "token" == (await until(eve, "PONG")).params[-1]


async def test_a_nick_that_is_in_use_is_refused(port: int) -> None:
    async with connected(port, "dup"):
        chain = LineFramer(ending="crlf") | IRC()
        async with await open_tcp_pipeline("127.0.0.1", port, chain) as other:
            await other.send_many([IRCMessage("NICK", "dup"), IRCMessage("USER", "dup", "0", "*", "x")])
            assert "dup" == (await until(other, "433")).params[1]
