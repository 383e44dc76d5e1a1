"""through_socks.py: through the other example, to a third one."""

from __future__ import annotations

from tests.code_blocks import ROOT
from tests.examples.programs import run, serving

PROGRAM = "examples/through_socks.py"


def test_it_gets_a_file_through_a_proxy_or_says_why_not() -> None:
    login = ("--user", "Ada", "--password", "secret")
    with (
        serving("examples/socks_proxy.py", "--port", "0", *login) as proxy,
        serving("examples/static_http.py", "--port", "0", "docs") as server,
    ):
        url = f"http://127.0.0.1:{server.port}/index.md"
        done = run(PROGRAM, "--proxy", f"127.0.0.1:{proxy.port}", *login, url)
        assert ((ROOT / "docs/index.md").read_text("utf-8"), "200 OK\n", 0) == (
            done.stdout,
            done.stderr,
            done.returncode,
        )
        done = run(PROGRAM, "--proxy", f"127.0.0.1:{proxy.port}", "--version", "4", url)
        assert ("", 1) == (done.stdout, done.returncode)
        assert "SOCKS: the proxy does not connect to 127.0.0.1:" in done.stderr
    done = run(PROGRAM, "--user", "Ada", "http://127.0.0.1/")
    assert 1 == done.returncode
    assert done.stderr.endswith("username and password go together, each of 1 to 255 bytes\n")
    assert 1 == done.stderr.count("\n")
    done = run(PROGRAM, "--proxy", "127.0.0.1:1", "http://127.0.0.1/")
    assert (1, "all attempts to connect to 127.0.0.1:1 failed\n") == (done.returncode, done.stderr)
