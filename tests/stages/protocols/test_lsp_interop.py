"""LSP against a server that nobody here wrote: python-lsp-server, over its stdin and stdout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import pytest
import trio

from pipeline import Calls, Pipeline, open_calls
from stages import LSP, ContentLengthFramer, Rechunk, RPCError, RPCMessage, RPCNotification, RPCRequest, RPCResponse

pytestmark = [pytest.mark.real_time, pytest.mark.full]

Connection: TypeAlias = Calls[RPCMessage, RPCMessage]
URI = "file:///nowhere/x.py"
TEXT = 'import os\nprint(len("ä"), undefined)\n'


@asynccontextmanager
async def pylsp(*, step: int) -> AsyncIterator[tuple[Connection, trio.Process]]:
    """A server that was told of a file, and what we write and read cut small."""
    start = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    chain = Rechunk(step) | ContentLengthFramer() | LSP()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            command = [sys.executable, "-m", "pylsp"]
            process: Any = await nursery.start(partial(start, check=False), command)
            async with (
                Pipeline((process.stdout, process.stdin), chain) as pipeline,
                open_calls(pipeline, LSP.reply_key, request_key=LSP.request_key) as calls,
            ):
                hello = {"processId": None, "rootUri": None, "capabilities": dict[str, Any]()}
                assert "pylsp" == (await result(calls, "initialize", hello))["serverInfo"]["name"]
                await calls.notify(RPCNotification("initialized", {}))
                document = {"uri": URI, "languageId": "python", "version": 1, "text": TEXT}
                await calls.notify(RPCNotification("textDocument/didOpen", {"textDocument": document}))
                yield calls, process


async def result(calls: Connection, method: str, params: object = None) -> Any:
    reply = await calls.call(RPCRequest(method, params))
    assert isinstance(reply, RPCResponse), reply
    return reply.result


def at(line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": URI}, "position": {"line": line, "character": character}}


@pytest.mark.parametrize("step", [7, 65536])
async def test_it_answers_many_questions_and_tells_what_is_wrong(step: int) -> None:
    async with pylsp(step=step) as (calls, process):
        hovers: dict[int, str] = {}

        async def hover(character: int) -> None:
            found = await result(calls, "textDocument/hover", at(1, character))
            hovers[character] = found["contents"]["value"] if found["contents"] else ""

        async with trio.open_nursery() as nursery:
            for character in (0, 6):
                nursery.start_soon(hover, character)
        assert {True} == {name in hovers[place] for name, place in (("print(", 0), ("len(", 6))}
        told = await calls.events.receive()
        assert isinstance(told, RPCNotification)
        assert "textDocument/publishDiagnostics" == told.method
        messages = {each["message"] for each in told.params["diagnostics"]}
        assert {"'os' imported but unused", "undefined name 'undefined'"} <= messages
        error = await calls.call(RPCRequest("nonsense"))
        assert isinstance(error, RPCError)
        assert -32601 == error.code
        assert await result(calls, "shutdown") is None
        await calls.notify(RPCNotification("exit"))
        with pytest.raises(trio.EndOfChannel):
            await calls.events.receive()
    assert 0 == process.returncode


async def test_a_server_that_dies_fails_the_call_that_waits() -> None:
    async with pylsp(step=65536) as (calls, process):
        process.kill()
        with pytest.raises(trio.BrokenResourceError):
            await calls.call(RPCRequest("textDocument/hover", at(1, 0)))
