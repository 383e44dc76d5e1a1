"""http_client.py: several tasks over one connection, with the other example as the server."""

from __future__ import annotations

import runpy

import h11
import pytest

from pipeline import LimitError
from pipeline.testing import Harness
from tests.code_blocks import ROOT
from tests.examples.programs import run, serving

PROGRAM = "examples/http_client.py"


def test_each_task_gets_its_own_answer() -> None:
    sizes = {f"/{name}": (ROOT / "docs" / name).stat().st_size for name in ("index.md", "tutorial.md", "mistakes.md")}
    with serving("examples/static_http.py", "--port", "0", "docs") as server:
        done = run(PROGRAM, f"http://127.0.0.1:{server.port}", *sizes, "/nothing", *sizes)
        assert ("", 0) == (done.stderr, done.returncode)
        expected = [*[f"{name}: 200, {size} bytes" for name, size in sizes.items()] * 2, "/nothing: 404, 22 bytes"]
        assert sorted(expected) == sorted(done.stdout.splitlines())


def test_a_response_is_one_item_with_a_limit() -> None:
    harness = Harness(runpy.run_path(str(ROOT / PROGRAM))["Gather"](max_bytes=5))
    head, end = h11.Response(status_code=200, headers=[]), h11.EndOfMessage()
    (answer,) = harness.receive(head, h11.Data(data=b"abc"), h11.Data(data=b"de"), end)
    assert (200, b"abcde") == (answer.status, answer.body)
    with pytest.raises(LimitError, match="a body of at least 6 bytes is over the limit, 5"):
        harness.receive(head, h11.Data(data=b"abcdef"))
