"""What holds for the examples together: what they tell to type works, and what is not there is said in a line."""

from __future__ import annotations

import ast
import re

import pytest

from tests.code_blocks import ROOT
from tests.examples.programs import run

CLIENTS = [
    ["calls.py", "ask", "--port", "1"],
    ["http_client.py", "http://127.0.0.1:1", "/index.md"],
    ["many_streams.py", "ask", "--port", "1"],
    ["messages.py", "send", "--port", "1", "PING"],
]


@pytest.mark.parametrize("program", ["static_http.py", "static_http2.py", "http_client.py"])
def test_the_files_that_are_asked_for_are_there(program: str) -> None:
    """Of `docs`, which is what the servers are told to serve."""
    said = ast.get_docstring(ast.parse((ROOT / "examples" / program).read_text("utf-8"))) or ""
    assert " docs\n" in said
    names = re.findall(r"/([\w.]+\.md)\b", said)
    assert names
    assert [] == [name for name in names if not (ROOT / "docs" / name).is_file()]


@pytest.mark.parametrize("command", CLIENTS, ids=lambda command: command[0])
def test_a_client_without_a_server_says_so(command: list[str]) -> None:
    done = run(f"examples/{command[0]}", *command[1:])
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("all attempts to connect to 127.0.0.1:1 failed")
    assert 1 == done.stderr.count("\n")
