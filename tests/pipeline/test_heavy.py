"""The sizes that show what is bounded: a slow consumer, and many connections."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from pipeline import Pipeline, open_tcp_pipeline
from stages import LineFramer
from tests.pipeline.parts import tcp_pair

MEBIBYTE = 1 << 20
HERE = Path(__file__).parent


def resident_bytes(pid: int | str = "self") -> int:
    """How much memory a process occupies now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.full
@pytest.mark.real_time
async def test_a_slow_consumer_of_a_gibibyte_does_not_grow() -> None:
    """A fast sender of 1 GiB and a receiver that rests now and then: memory grows by less than 8 MiB."""
    line = b"x" * 4095
    total = 1024 * MEBIBYTE
    highest = 0

    async def sender(stream: trio.SocketStream) -> None:
        block = (line + b"\n") * 64
        for _ in range(total // len(block)):
            await stream.send_all(block)
        await stream.send_eof()

    async with (
        tcp_pair() as (here, there),
        Pipeline(here, LineFramer()) as pipeline,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(sender, there)
        received = 0
        assert line == await pipeline.receive()
        await trio.sleep(0.5)  # the sender fills all the buffers that there are
        before = resident_bytes()
        async for item in pipeline:
            received += len(item) + 1
            if received % (64 * MEBIBYTE) < 4096:
                await trio.sleep(0.02)
                highest = max(highest, resident_bytes())
    print(f"\n1 GiB to a slow consumer: memory grew by {(highest - before) / MEBIBYTE:.2f} MiB")
    assert total == received + 4096
    assert highest - before < 8 * MEBIBYTE


SERVER = """
import sys, trio
from pipeline import serve_tcp
from stages import LineFramer

async def echo(pipeline):
    async for line in pipeline:
        await pipeline.send(line)

async def main():
    async with trio.open_nursery() as nursery:
        async def serve(task_status):
            await serve_tcp(echo, 0, LineFramer, host="127.0.0.1", task_status=task_status)
        listeners = await nursery.start(serve)
        print(listeners[0].socket.getsockname()[1], flush=True)

trio.run(main)
"""


@pytest.mark.full
@pytest.mark.real_time
async def test_a_thousand_connections_are_served() -> None:
    """One server, 1,000 clients at once: all are answered, and an idle one takes less than 16 KiB of the server."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, cwd=HERE.parent.parent
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.receive_some())
        before = resident_bytes(process.pid)
        clients: list[Pipeline[bytes, bytes]] = []
        for number in range(1000):
            client: Any = await open_tcp_pipeline("127.0.0.1", port, LineFramer())
            clients.append(client)
            await client.send(b"hello %d" % number)
        for number, client in enumerate(clients):
            assert b"hello %d" % number == await client.receive()
        each = (resident_bytes(process.pid) - before) / 1000
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.aclose)
    finally:
        process.terminate()
        await process.wait()
        await process.stdout.aclose()
    print(f"\n1,000 idle connections: {each / 1024:.1f} KiB each")
    assert each < 16 * 1024
