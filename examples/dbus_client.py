"""A client of D-Bus: which names are on the bus, whose they are, and what is said there.

    python examples/dbus_client.py                                   # the names on the session's bus
    python examples/dbus_client.py --watch --address unix:path=/var/run/dbus/system_bus_socket

It needs `pip install 'penstock[jeepney]'`, and a bus: `dbus-run-session python examples/dbus_client.py` starts one.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import Any

import trio
from jeepney import HeaderFields, MatchRule, Message, message_bus
from jeepney.bus import get_bus
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from pipeline import Calls, Pipeline, PipelineError, open_calls
from stages import DBus

UNIQUE = ":"  # what the bus calls a connection begins so


async def ask(calls: Calls[Message, Message], request: Message) -> Any:
    """Call a method; what it returns, or `DBusErrorResponse`."""
    return unwrap_msg(await calls.call(request))


async def print_names(calls: Calls[Message, Message]) -> None:
    """Print each name and the process behind it; they are asked for all at once."""
    (names,) = await ask(calls, message_bus.ListNames())
    processes: dict[str, int] = {}

    async def look_up(name: str) -> None:
        with suppress(DBusErrorResponse):  # if it has just left
            (processes[name],) = await ask(calls, message_bus.GetConnectionUnixProcessID(name))

    async with trio.open_nursery() as nursery:
        for name in names:
            if not name.startswith(UNIQUE):
                nursery.start_soon(look_up, name)
    for name, process in sorted(processes.items()):
        print(f"{name} is process {process}")


async def watch(calls: Calls[Message, Message]) -> None:
    """Print signals for as long as the bus is there."""
    await ask(calls, message_bus.AddMatch(MatchRule(type="signal")))
    async for message in calls.events:
        fields = message.header.fields
        print(f"{fields[HeaderFields.interface]}.{fields[HeaderFields.member]}{message.body!r}", flush=True)


async def main(address: str, *, signals: bool) -> None:
    dbus = DBus()
    stream = await trio.open_unix_socket(get_bus(address))
    async with (
        Pipeline(stream, dbus) as pipeline,
        open_calls(pipeline, key=DBus.reply_key, request_key=dbus.number) as calls,
    ):
        (own_name,) = await ask(calls, message_bus.Hello())
        print(f"the bus calls us {own_name}", flush=True)
        await print_names(calls)
        if signals:
            await watch(calls)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Names on a D-Bus, and its signals.")
    parser.add_argument("--address", default="SESSION", help="of the bus, or SESSION or SYSTEM (%(default)s)")
    parser.add_argument("--watch", action="store_true", help="go on, and print the signals")
    options = parser.parse_args()
    if options.address == "SESSION" and "DBUS_SESSION_BUS_ADDRESS" not in os.environ:
        sys.exit("there is no session bus: start this with dbus-run-session, or give an --address")
    try:
        trio.run(lambda: main(options.address, signals=options.watch))
    except* (OSError, PipelineError, trio.BrokenResourceError) as errors:
        sys.exit(f"no bus at {options.address}: {errors.exceptions[0]}")
    except* KeyboardInterrupt:
        pass
