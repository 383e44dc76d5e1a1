"""lsp_client.py: with python-lsp-server, and with a server of our own that asks, too."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.code_blocks import ROOT
from tests.examples.programs import run

PROGRAM = "examples/lsp_client.py"

SERVER = """
import sys, trio
from pipeline import Pipeline
from stages import LSP, ContentLengthFramer, RPCNotification, RPCRequest

async def serve(pipeline):
    async for message in pipeline:
        match message:
            case RPCRequest("initialize"):
                await pipeline.send(message.response({"capabilities": {}}))
            case RPCNotification("textDocument/didOpen", params):
                await pipeline.send(RPCRequest("workspace/configuration", {"items": []}))
                refused = await pipeline.receive()
                uri, text = (params["textDocument"][key] for key in ("uri", "text"))
                start = {"line": 0, "character": len(text)}
                wrong = {"range": {"start": start, "end": start}, "message": refused.message}
                other = {"uri": uri + "x", "diagnostics": []}
                for told in other, {"uri": uri, "diagnostics": [wrong]}:
                    await pipeline.send(RPCNotification("textDocument/publishDiagnostics", told))
            case RPCNotification("exit"):
                return
            case RPCRequest("shutdown"):
                await pipeline.send(message.response())
            case RPCRequest():
                await pipeline.send(message.error(-32601, "not here"))

async def main():
    streams = trio.lowlevel.FdStream(0), trio.lowlevel.FdStream(1)
    async with Pipeline(streams, ContentLengthFramer() | LSP()) as pipeline:
        await serve(pipeline)

trio.run(main)
"""


@pytest.fixture
def looked_at(tmp_path: Path) -> Path:
    path = tmp_path / "x.py"
    path.write_text("import os\nprint(len('a'), undefined)\n")
    return path


@pytest.fixture
def server(tmp_path: Path) -> str:
    path = tmp_path / "server.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{SERVER}")
    return shlex.join([sys.executable, str(path)])


def test_what_a_server_tells_and_asks_by_itself(looked_at: Path, server: str) -> None:
    done = run(PROGRAM, str(looked_at), "--server", server)
    lines = ["the server", f"{looked_at}:1:38: this client knows no workspace/configuration", "1 found"]
    assert (lines, "", 0) == (done.stdout.splitlines(), done.stderr, done.returncode)


def test_a_question_that_is_refused(looked_at: Path, server: str) -> None:
    done = run(PROGRAM, str(looked_at), "--at", "1:1", "--server", server)
    assert ("it did not work: textDocument/hover: not here (-32601)\n", 1) == (done.stderr, done.returncode)


@pytest.mark.parametrize("command", ["no-such-program", "echo hello"])
def test_what_is_no_server(looked_at: Path, command: str) -> None:
    done = run(PROGRAM, str(looked_at), "--server", command)
    assert 1 == done.returncode
    assert done.stderr.startswith("it did not work: ")
    assert "Traceback" not in done.stderr


@pytest.mark.full
def test_python_lsp_server(looked_at: Path) -> None:
    done = run(PROGRAM, str(looked_at), "--at", "2:8")
    assert ("", 0) == (done.stderr, done.returncode)
    name, *lines = done.stdout.splitlines()
    assert name.startswith("pylsp ")
    assert [
        f"{looked_at}:1:1: 'os' imported but unused",
        f"{looked_at}:2:17: undefined name 'undefined'",
        "2 found",
    ] == lines[:3]
    assert "len(obj: Sized, /) -> int" in lines


@pytest.mark.full
def test_the_place_that_users_are_told_of_is_one_of_which_something_is_known() -> None:
    said = (ROOT / PROGRAM).read_text("utf-8")
    (path, place), *_ = re.findall(r"examples/lsp_client.py (examples/\S+) --at (\S+)", said)
    done = run(PROGRAM, path, "--at", place)
    assert ("", 0) == (done.stderr, done.returncode)
    assert "nothing is known of that place" not in done.stdout
