"""static_http2.py: curl on both protocols, and what a browser makes of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.examples.programs import SECONDS, Server, serving

PROGRAM = "examples/static_http2.py"
BIG = bytes(range(256)) * 8000
PAGE = """<!doctype html><ul id="heard"></ul><script>
const say = text => { document.querySelector("#heard").innerHTML += `<li>${text}</li>` }
const load = name => fetch(name).then(answer => answer.arrayBuffer()).then(body => body.byteLength)
Promise.all([...Array(30).keys()].map(number => load(`big.bin?${number}`))).then(sizes => {
  say(sizes.reduce((a, b) => a + b))
  say([...new Set(performance.getEntries().map(each => each.nextHopProtocol).filter(name => name))].join())
})
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "root/sub").mkdir(parents=True)
    (folder / "root/index.html").write_text(PAGE)
    (folder / "root/empty").write_bytes(b"")
    (folder / "root/big.bin").write_bytes(BIG)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(PROGRAM, "--port", "0", "--cert", str(folder / "server.pem"), str(folder / "root")) as server:
        yield server


def curl(server: Server, folder: Path, path: str, *options: str) -> bytes:
    """What curl got, then its status and the protocol."""
    command = ["curl", "-sS", "--cacert", str(folder / "ca.pem"), "--path-as-is", "-w", "%{http_code} %{http_version}"]
    url = f"https://localhost:{server.port}{path}"
    return subprocess.run([*command, *options, url], capture_output=True, timeout=SECONDS, check=True).stdout


@pytest.mark.parametrize(("protocol", "version"), [("--http2", b"2"), ("--http1.1", b"1.1")])
def test_both_protocols_are_served_on_one_port(server: Server, folder: Path, protocol: str, version: bytes) -> None:
    assert BIG + b"200 " + version == curl(server, folder, "/big.bin", protocol)
    assert PAGE.encode() + b"200 " + version == curl(server, folder, "/?x=1", protocol)
    assert b"200 " + version == curl(server, folder, "/empty", protocol)
    for path in ("/nothing", "/sub", "/../server.pem", "/%2e%2e/server.pem"):
        assert b"There is no such file\n404 " + version == curl(server, folder, path, protocol)
    assert b"Only GET and HEAD\n405 " + version == curl(server, folder, "/", protocol, "-d", "x")
    assert b"content-length: 2048000\r\n" in curl(server, folder, "/big.bin", protocol, "-I").lower()
    assert curl(server, folder, "/nothing", protocol, "-I").endswith(b"404 " + version)


def test_a_certificate_is_made_where_none_is_given(folder: Path) -> None:
    with serving(PROGRAM, "--port", "0", str(folder / "root")) as server:
        assert b"200 2" == curl(server, folder, "/empty", "--insecure")


@pytest.mark.full
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium: apt-get install chromium")
def test_a_browser_loads_thirty_files_at_once(server: Server, tmp_path: Path) -> None:
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors"]
    command += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=60000", "--dump-dom"]
    url = f"https://localhost:{server.port}/"
    done = subprocess.run([*command, url], capture_output=True, timeout=120, check=True)
    assert f"<li>{30 * len(BIG)}</li><li>h2</li>".encode() in done.stdout, done.stdout + done.stderr
