"""The benchmark's program keeps its contract, so that it is known to work before somebody measures it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

HERE = Path(__file__).parent
LINES = b"".join(b'{"id": %d, "name": "sensor", "value": 1.5, "ok": true}\n' % number for number in range(5))


SYSTEMS = {system["name"]: system for system in tomllib.loads((HERE / "penstock.toml").read_text("utf-8"))["system"]}


def doing(workload: str) -> list[str]:
    """The names of the systems that do this work."""
    return [name for name, system in SYSTEMS.items() if workload in system.get("workloads", [workload])]


def peer(name: str, *arguments: str, check: bool) -> partial[Any]:
    """Run the program as `penstock.toml` has it run."""
    system = SYSTEMS[name]
    command = [text.format(venv=sys.prefix, here=HERE) for text in system["argv"]]
    environment = {name: text.format(here=HERE) for name, text in system["env"].items()}
    return partial(
        trio.run_process,
        [*command, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=check,
    )


async def read_lines(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    lines = b""
    while lines.count(b"\n") < count:
        chunk = await stream.receive_some()
        assert chunk, lines
        lines += chunk
    return lines


@pytest.mark.full
@pytest.mark.real_time
@pytest.mark.parametrize("name", doing("ingest"))
async def test_ingest_reports_what_it_got(name: str) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(60):
        async with listener, trio.open_nursery() as nursery:
            process = await nursery.start(peer(name, "ingest", str(listener.socket.getsockname()[1]), check=True))
            async with await listener.accept() as stream:
                await stream.send_all(LINES)
            report = await read_lines(process.stdout, 1)

    assert {"count": 5, "sum": 10, "tap": 5} == json.loads(report)


@pytest.mark.full
@pytest.mark.real_time
@pytest.mark.parametrize("name", doing("echo"))
async def test_echo_answers_in_order(name: str) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(peer(name, "echo", check=False))  # it ends by being terminated
            port = int(await read_lines(process.stdout, 1))
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"ECHO:a:b\nPING:\nWHAT:x\n")
                replies = await read_lines(stream, 3)
            process.terminate()

    assert b"ECHO:a:b\nPONG:\nERROR:unknown type WHAT\n" == replies
