"""test_a_server.py: a plain pytest file, run as such, and its server over a real socket."""

from __future__ import annotations

import runpy
from functools import partial

import pytest
import trio

from pipeline import open_tcp_pipeline, serve_tcp
from tests.code_blocks import ROOT
from tests.examples.programs import start

PROGRAM = "examples/test_a_server.py"


@pytest.mark.parametrize(
    "command", [pytest.param(["-m", "pytest"], marks=pytest.mark.full), []], ids=["pytest", "alone"]
)
def test_it_passes_under_pytest_and_alone(command: list[str]) -> None:
    """None of this repository's own settings is needed."""
    options = ["-c", "/dev/null", "-p", "no:cacheprovider"] if command else []
    done = start(*command, *options, PROGRAM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


@pytest.mark.real_time
async def test_its_server_serves_a_socket() -> None:
    """What is tested in memory is what runs."""
    example = runpy.run_path(str(ROOT / PROGRAM))
    make_chain, till = example["make_chain"], example["Till"]()
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host="127.0.0.1"), till.serve, 0, make_chain)
        port = listener.socket.getsockname()[1]
        async with await open_tcp_pipeline("127.0.0.1", port, make_chain()) as client:
            await client.send_many(["2", "40"])
            assert ["total 2", "total 42"] == [await client.receive(), await client.receive()]
        nursery.cancel_scope.cancel()
