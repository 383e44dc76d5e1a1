"""DBus against a bus that nobody here wrote: dbus-daemon, over a Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    message_bus,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.wrappers import unwrap_msg

from pipeline import Calls, Pipeline, open_calls
from stages import DBus, Rechunk

from .dbus_daemon import dbus_daemon, needs_dbus_daemon

pytestmark = [pytest.mark.real_time, needs_dbus_daemon]

Bus: TypeAlias = Calls[Message, Message]
NAME = "org.example.Upper"
UPPER = DBusAddress("/upper", bus_name=NAME, interface=NAME)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with dbus_daemon(tmp_path_factory.mktemp("bus")) as path:
        yield path


@asynccontextmanager
async def connected(path: Path, *, step: int) -> AsyncIterator[tuple[Bus, Pipeline[Message, Message], str]]:
    """A client that has said Hello, and its name on the bus."""
    dbus = DBus()
    with trio.fail_after(60):
        async with (
            Pipeline(await trio.open_unix_socket(path), Rechunk(step) | dbus) as pipeline,
            open_calls(pipeline, key=DBus.reply_key, request_key=dbus.number) as calls,
        ):
            (name,) = unwrap_msg(await calls.call(message_bus.Hello()))
            yield calls, pipeline, name


@pytest.mark.parametrize("step", [1, 7, 65536])
async def test_two_clients_call_and_hear_each_other(address: Path, step: int) -> None:
    """Read in pieces of so many bytes: names, calls that are answered out of order, signals, errors."""
    async with (
        connected(address, step=step) as (server, server_pipeline, server_name),
        connected(address, step=step) as (client, _, client_name),
        trio.open_nursery() as nursery,
    ):
        assert client_name != server_name
        assert (1,) == unwrap_msg(await server.call(message_bus.RequestName(NAME)))
        (names,) = unwrap_msg(await client.call(message_bus.ListNames()))
        assert {NAME, client_name, server_name} <= set(names)
        await client.call(message_bus.AddMatch(MatchRule(type="signal", sender=NAME, interface=NAME)))

        @nursery.start_soon
        async def serve() -> None:
            requests = []
            async for message in server.events:
                if message.header.fields.get(HeaderFields.member) == "Do":
                    requests.append(message)
                    if len(requests) == 10:
                        break
            for request in reversed(requests):
                (text,) = request.body
                await server.notify(new_method_return(request, "s", (text.upper(),)))
            await server.notify(new_signal(UPPER, "Done", "as", ([request.body[0] for request in requests],)))

        async def ask(text: str) -> None:
            reply = await client.call(new_method_call(UPPER, "Do", "s", (text,)))
            assert (text.upper(),) == unwrap_msg(reply)

        async with trio.open_nursery() as callers:
            for number in range(10):
                callers.start_soon(ask, f"text {number} " + "x" * 300)
        async for message in client.events:
            if message.header.fields[HeaderFields.member] == "Done":
                assert 10 == len(message.body[0])
                break
        error = await client.call(new_method_call(message_bus, "NoSuchMethod"))
        assert "org.freedesktop.DBus.Error.UnknownMethod" == error.header.fields[HeaderFields.error_name]
        assert server_pipeline.dropped_replies == 0


async def test_large_messages_pass(address: Path) -> None:
    """Of a megabyte, both ways, through the bus."""
    async with connected(address, step=65536) as (client, pipeline, name):
        await client.call(message_bus.AddMatch(MatchRule(type="signal", interface=NAME)))
        await pipeline.send(new_signal(UPPER, "Said", "ay", (b"x" * 1_000_000,)))
        async for message in client.events:
            if message.header.fields.get(HeaderFields.member) == "Said":
                assert (b"x" * 1_000_000,) == message.body
                assert name == message.header.fields[HeaderFields.sender]
                break
