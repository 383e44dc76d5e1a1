"""Ask a language server about a file: what it finds wrong, and what stands at a place.

    python examples/lsp_client.py examples/calls.py --at 55:21
    python examples/lsp_client.py main.rs --server rust-analyzer

The server is a program, spoken to over its stdin and stdout; without --server it is python-lsp-server
(`pip install "python-lsp-server[pyflakes]"`). It tells what is wrong when it likes, and may ask, too, while our own
questions wait for their answers.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import trio

from pipeline import Calls, Duplex, Pipeline, PipelineError, open_calls
from stages import LSP, ContentLengthFramer, RPCError, RPCMessage, RPCNotification, RPCRequest, RPCResponse

Connection: TypeAlias = Calls[RPCMessage, RPCMessage]


class RefusedError(Exception):
    """The server answered with an error."""


def make_chain() -> Duplex[bytes, RPCMessage, RPCMessage, bytes]:
    return ContentLengthFramer() | LSP()


async def ask(calls: Connection, method: str, params: object = None) -> Any:
    reply = await calls.call(RPCRequest(method, params))
    if isinstance(reply, RPCError):
        raise RefusedError(f"{method}: {reply.message} ({reply.code})")
    assert isinstance(reply, RPCResponse)
    return reply.result


async def listen(calls: Connection, uri: str, found: trio.MemorySendChannel[list[Any]]) -> None:
    """Take what comes unasked: the diagnostics of our file, and questions, which all get an answer."""
    async for message in calls.events:
        match message:
            case RPCNotification("textDocument/publishDiagnostics", params) if params["uri"] == uri:
                found.send_nowait(params["diagnostics"])
            case RPCRequest():
                await calls.notify(message.error(-32601, f"this client knows no {message.method}"))


def show_diagnostics(name: str, diagnostics: list[Any]) -> None:
    for each in diagnostics:
        start = each["range"]["start"]
        print(f"{name}:{start['line'] + 1}:{start['character'] + 1}: {each['message']}", flush=True)
    print(f"{len(diagnostics)} found", flush=True)


def show_hover(hover: Any) -> None:
    contents = hover["contents"] if hover else ""
    print(
        (contents["value"] if isinstance(contents, dict) else contents) or "nothing is known of that place", flush=True
    )


async def look_at(calls: Connection, name: str, document: dict[str, Any], place: tuple[int, int] | None) -> None:
    """Open the file there, wait for what is wrong with it, and ask about the place."""
    me = {"processId": os.getpid(), "rootUri": None, "capabilities": dict[str, Any]()}
    server = (await ask(calls, "initialize", me)).get("serverInfo", {"name": "the server"})
    print(f"{server['name']} {server.get('version', '')}".rstrip(), flush=True)
    await calls.notify(RPCNotification("initialized", {}))
    found_in, found = trio.open_memory_channel[list[Any]](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, calls, document["uri"], found_in)
        await calls.notify(RPCNotification("textDocument/didOpen", {"textDocument": document}))
        show_diagnostics(name, await found.receive())
        if place is not None:
            position = {"line": place[0] - 1, "character": place[1] - 1}
            where = {"textDocument": {"uri": document["uri"]}, "position": position}
            show_hover(await ask(calls, "textDocument/hover", where))
        nursery.cancel_scope.cancel()
    await ask(calls, "shutdown")
    await calls.notify(RPCNotification("exit"))


async def main(name: str, document: dict[str, Any], place: tuple[int, int] | None, command: list[str]) -> int:
    """Run the server for as long as it takes; return its exit status."""
    start = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    async with trio.open_nursery() as nursery:
        process: Any = await nursery.start(partial(start, check=False), command)
        async with (
            Pipeline((process.stdout, process.stdin), make_chain()) as pipeline,
            open_calls(pipeline, LSP.reply_key, request_key=LSP.request_key) as calls,
        ):
            with trio.fail_after(60):
                await look_at(calls, name, document, place)
    return int(process.returncode)


def document_of(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    return {"uri": path.resolve().as_uri(), "languageId": path.suffix[1:], "version": 1, "text": text}


def line_and_column(text: str) -> tuple[int, int]:
    line, column = text.split(":")
    return int(line), int(column)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Show what a language server says of a file.")
    parser.add_argument("path", type=Path, help="the file")
    parser.add_argument("--at", type=line_and_column, metavar="LINE:COLUMN", help="ask about this place, too")
    parser.add_argument("--server", type=shlex.split, default=[sys.executable, "-m", "pylsp"], help="the command")
    arguments = parser.parse_args()
    try:
        document = document_of(arguments.path)
        sys.exit(trio.run(main, str(arguments.path), document, arguments.at, arguments.server))
    except* (OSError, PipelineError, RefusedError, trio.BrokenResourceError, trio.TooSlowError) as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        sys.exit(f"it did not work: {str(error) or type(error).__name__}")
    except* KeyboardInterrupt:
        sys.exit(130)
