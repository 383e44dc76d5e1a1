"""`TLS` against programs that others wrote: OpenSSL's, GnuTLS's and curl, as clients and as servers."""

from __future__ import annotations

import logging
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pipeline import IncompleteFrameError, Pipeline, open_tcp_pipeline, serve_tcp
from stages import TLS, LineFramer, Tap, TLSError
from tests.ports import free_port

from .tls_parts import NAME, VERSIONS, Files, certificate, client_context, expired, server_context

pytestmark = [pytest.mark.real_time, pytest.mark.full]
EACH_VERSION = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
SECONDS = 60


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"there is no {program}: apt-get install gnutls-bin"
    )


OPENSSL = pytest.param("openssl", marks=needs("openssl"))
GNUTLS = pytest.param("gnutls", marks=[needs("gnutls-cli"), needs("gnutls-serv")])
EACH_PROGRAM = pytest.mark.parametrize("program", [OPENSSL, GNUTLS])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _no_warning_is_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


# ---- our server, their client


@asynccontextmanager
async def serving(
    context: ssl.SSLContext, handler: Any, seen: list[Any] | None = None, ending: Any = "any"
) -> AsyncIterator[int]:
    """A server of lines over `TLS`; each connection's stage is put into `seen`. Gives its port."""

    def make_chain() -> Any:
        tls = TLS(context, server_side=True)
        if seen is not None:
            seen.append(tls)
        return tls | LineFramer(ending=ending)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_tcp, host="127.0.0.1")
            (listener,) = await nursery.start(serve, handler, 0, make_chain)
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


class Shouter:
    """Answers each line in capitals, and notes how the connection ended."""

    def __init__(self) -> None:
        self.ended = trio.Event()

    async def __call__(self, pipeline: Pipeline[Any, Any]) -> None:
        async for line in pipeline:
            await pipeline.send(line.upper())
        self.ended.set()  # by a close notify: anything else would have raised


@asynccontextmanager
async def running(*command: str, errors: Any = subprocess.DEVNULL) -> AsyncIterator[Any]:
    """A program whose lines are received and sent: a pipeline on its standard output and input."""
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with Pipeline((process.stdout, process.stdin), LineFramer()) as pipeline:
            pipeline.process = process  # type: ignore[attr-defined]
            yield pipeline
            await pipeline.send_eof()
            with trio.move_on_after(1):
                await process.wait()
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def until(pipeline: Pipeline[Any, Any], text: bytes) -> bytes:
    """The next line of the program's with this in it."""
    lines = []
    async for line in pipeline:
        lines.append(line)
        if text in line:
            return bytes(line)
    raise AssertionError(lines)


async def logged(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the server has said something of a connection that failed."""
    for _ in range(SECONDS * 100):
        if caplog.records:
            return
        await trio.sleep(0.01)
    raise AssertionError


def client_command(program: str, version: ssl.TLSVersion, port: int, files: Files, *more: str) -> list[str]:
    """A program that sends its input's lines over TLS, checks the server, and offers the ALPN protocol "lines"."""
    if program == "openssl":
        minor = {"TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}[version.name]
        command = (
            f"openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:{port} -servername {NAME} {minor} -alpn lines"
        )
        return [*command.split(), "-CAfile", str(files.ca), "-verify_hostname", NAME, "-verify_return_error", *more]
    minor = {"TLSv1_2": "VERS-TLS1.2", "TLSv1_3": "VERS-TLS1.3"}[version.name]
    command = f"gnutls-cli --logfile=/dev/null -p {port} --sni-hostname={NAME} --verify-hostname={NAME} --alpn=lines"
    priority = f"--priority=NORMAL:-VERS-ALL:+{minor}"
    return [*command.split(), priority, f"--x509cafile={files.ca}", *more, "127.0.0.1"]


@EACH_VERSION
@EACH_PROGRAM
async def test_their_client_talks_to_our_server(program: str, version: ssl.TLSVersion, files: Files) -> None:
    """Lines both ways, ALPN, and their close notify at the end."""
    context = server_context()
    context.set_alpn_protocols(["lines"])
    shouter, seen = Shouter(), list[Any]()
    async with serving(context, shouter, seen) as port:
        async with running(*client_command(program, version, port, files)) as theirs:
            for line in (b"hello", b"x" * 5000, b"again"):
                await theirs.send(line)
                assert line.upper() == await until(theirs, line.upper())
        await shouter.ended.wait()
    [tls] = seen
    assert version.name == tls.ssl_object.version().replace(".", "_")
    assert "lines" == tls.alpn_protocol


@EACH_VERSION
@EACH_PROGRAM
async def test_their_client_with_a_certificate(program: str, version: ssl.TLSVersion, files: Files) -> None:
    shouter, seen = Shouter(), list[Any]()
    own = {
        "openssl": ["-cert", str(files.client), "-key", str(files.client)],
        "gnutls": [f"--x509certfile={files.client}", f"--x509keyfile={files.client}"],
    }[program]
    async with serving(server_context(asks_client=True), shouter, seen) as port:
        async with running(*client_command(program, version, port, files, *own)) as theirs:
            await theirs.send(b"hello")
            assert b"HELLO" == await until(theirs, b"HELLO")
        await shouter.ended.wait()
    assert (("DNS", "client.example"),) == seen[0].ssl_object.getpeercert()["subjectAltName"]


@EACH_VERSION
@EACH_PROGRAM
@pytest.mark.parametrize(
    ("cert", "alert"),
    [(lambda: certificate("other.example"), ""), (expired, "certificate expired")],
    ids=["wrong name", "expired"],
)
async def test_their_client_refuses_us(
    program: str, version: ssl.TLSVersion, files: Files, caplog: pytest.LogCaptureFixture, cert: Any, alert: str
) -> None:
    """What the log says depends on the alert that they send; gnutls-cli sends none, and closes."""
    async with serving(server_context(cert=cert()), Shouter()) as port:
        async with running(*client_command(program, version, port, files)) as theirs:
            async for line in theirs:
                assert b"HELLO" not in line
            assert 0 != await theirs.process.wait()
        await logged(caplog)
    assert "TLS: the client " in caplog.text
    if program == "openssl" and alert:
        assert f"broke off during the handshake with the alert '{alert}'" in caplog.text


@EACH_PROGRAM
async def test_their_client_notices_a_cut(program: str, files: Files) -> None:
    """Our end is gone without a close notify: they do not take it for the end."""

    async def vanish(pipeline: Pipeline[Any, Any]) -> None:
        await pipeline.send(await pipeline.receive())
        await trio.aclose_forcefully(pipeline)

    async with serving(server_context(), vanish) as port:
        command = client_command(program, ssl.TLSVersion.TLSv1_3, port, files)
        async with running(*command, errors=subprocess.STDOUT) as theirs:
            await theirs.send(b"hello")
            assert b"hello" == await until(theirs, b"hello")
            says = {"openssl": b"unexpected eof while reading", "gnutls": b"non-properly terminated"}[program]
            await until(theirs, says)


@EACH_VERSION
@needs("curl")
async def test_curl_reads_what_only_a_close_notify_ends(version: ssl.TLSVersion, files: Files) -> None:
    """An answer of which only the close notify says that it is whole."""
    requests = []

    async def answer(pipeline: Pipeline[Any, Any]) -> None:
        requests.append(await pipeline.receive())
        while await pipeline.receive():
            pass
        for line in (b"HTTP/1.0 200 OK", b"Content-Type: text/plain", b"", *[b"x" * 100] * 2000):
            await pipeline.send(line)

    minor = {"TLSv1_2": "--tls-max 1.2", "TLSv1_3": "--tlsv1.3"}[version.name].split()
    async with serving(server_context(), answer, ending="crlf") as port:
        options = ["--silent", "--show-error", "--cacert", str(files.ca), "--resolve", f"{NAME}:{port}:127.0.0.1"]
        done = await trio.run_process(
            ["curl", *options, *minor, f"https://{NAME}:{port}/x"],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert b"" == done.stderr
    assert (b"x" * 100 + b"\r\n") * 2000 == done.stdout
    assert [b"GET /x HTTP/1.1"] == requests


@needs("curl")
@pytest.mark.parametrize(
    ("cert", "says"),
    [(lambda: certificate("other.example"), ""), (expired, "the alert 'certificate expired'")],
    ids=["wrong name", "expired"],
)
async def test_curl_refuses_us(files: Files, caplog: pytest.LogCaptureFixture, cert: Any, says: str) -> None:
    """It compares names only after the handshake, and then closes in good order."""
    shouter = Shouter()
    async with serving(server_context(cert=cert()), shouter) as port:
        options = ["--silent", "--cacert", str(files.ca), "--resolve", f"{NAME}:{port}:127.0.0.1"]
        done = await trio.run_process(["curl", *options, f"https://{NAME}:{port}/"], capture_stdout=True, check=False)
        assert 60 == done.returncode, "what curl calls PEER_FAILED_VERIFICATION"
        await (logged(caplog) if says else shouter.ended.wait())
    assert says in caplog.text


# ---- their server, our client


def server_command(program: str, version: ssl.TLSVersion, port: int, key_and_cert: Path, *more: str) -> list[str]:
    """A program that answers each line: OpenSSL's with the line backwards, GnuTLS's with the same."""
    if program == "openssl":
        minor = {"TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}[version.name]
        return [*f"openssl s_server -accept 127.0.0.1:{port} -cert {key_and_cert} {minor} -alpn lines".split(), *more]
    minor = {"TLSv1_2": "VERS-TLS1.2", "TLSv1_3": "VERS-TLS1.3"}[version.name]
    command = (
        f"gnutls-serv --echo --port={port} --x509certfile={key_and_cert} --x509keyfile={key_and_cert} --alpn=lines"
    )
    return [*command.split(), f"--priority=NORMAL:-VERS-ALL:+{minor}", *more]


@asynccontextmanager
async def their_server(program: str, version: ssl.TLSVersion, cert: Path, *more: str) -> AsyncIterator[tuple[int, Any]]:
    """Gives its port, and the program."""
    port = free_port()
    with trio.fail_after(SECONDS):
        async with running(*server_command(program, version, port, cert, *more)) as theirs:
            yield port, theirs
            theirs.process.terminate()


async def connect(port: int, context: ssl.SSLContext) -> tuple[TLS, Pipeline[Any, Any]]:
    tls = TLS(context, NAME)
    for _ in range(SECONDS * 50):
        try:
            return tls, await open_tcp_pipeline("127.0.0.1", port, tls | LineFramer())
        except OSError:
            await trio.sleep(0.02)
    raise AssertionError


@EACH_VERSION
@EACH_PROGRAM
async def test_our_client_talks_to_their_server(program: str, version: ssl.TLSVersion, files: Files) -> None:
    context = client_context()
    context.set_alpn_protocols(["lines"])
    more = ["-rev"] if program == "openssl" else []
    async with their_server(program, version, files.key_and_cert, *more) as (port, _):
        tls, opened = await connect(port, context)
        async with opened as ours:
            for line in (b"hello", b"abc" * 1000):
                await ours.send(line)
                assert (line[::-1] if program == "openssl" else line) == await ours.receive()
            assert version.name == (tls.ssl_object.version() or "").replace(".", "_")
            assert "lines" == tls.alpn_protocol


@EACH_PROGRAM
@pytest.mark.parametrize(
    ("cert", "says"),
    [
        (lambda: certificate("other.example"), "TLS: the server's certificate was not accepted: Hostname mismatch"),
        (expired, "TLS: the server's certificate was not accepted: certificate has expired"),
    ],
    ids=["wrong name", "expired"],
)
async def test_we_refuse_their_server(program: str, cert: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    cert().private_key_and_cert_chain_pem.write_to_path(str(path))
    async with their_server(program, ssl.TLSVersion.TLSv1_3, path) as (port, _):
        _, opened = await connect(port, client_context())
        with pytest.raises(TLSError, match=says):
            async with opened:
                raise AssertionError


@EACH_VERSION
@EACH_PROGRAM
async def test_we_notice_that_their_server_is_gone(program: str, version: ssl.TLSVersion, files: Files) -> None:
    """Killed: the system closes the connection, and there is no close notify."""
    more = ["-rev"] if program == "openssl" else []
    async with their_server(program, version, files.key_and_cert, *more) as (port, theirs):
        _, opened = await connect(port, client_context())
        ours = await opened.__aenter__()
        await ours.send(b"a")
        assert b"a" == await ours.receive()
        theirs.process.send_signal(signal.SIGKILL)
        with pytest.raises(IncompleteFrameError, match="without a close notify"):
            await ours.receive()
        await trio.aclose_forcefully(ours)


@needs("openssl")
@pytest.mark.parametrize(
    ("version", "command"),
    [(ssl.TLSVersion.TLSv1_2, b"r"), (ssl.TLSVersion.TLSv1_3, b"K")],
    ids=["another handshake", "new keys"],
)
async def test_their_server_wants_to_renew_what_is_agreed(
    version: ssl.TLSVersion, command: bytes, files: Files
) -> None:
    """The items before, between and behind come in order, both ways."""
    asked, got = trio.Event(), list[bytes]()

    async def receive(pipeline: Pipeline[Any, Any]) -> None:
        got.append(await pipeline.receive())

    async with their_server("openssl", version, files.key_and_cert) as (port, theirs):
        tls, opened = await connect(port, client_context())
        async with opened as ours, trio.open_nursery() as nursery:
            await ours.send(b"from us 1")
            await until(theirs, b"from us 1")
            await ours.insert(Tap(lambda *_: asked.set()), before=tls)
            nursery.start_soon(receive, ours)
            await theirs.send(command)  # s_server's command; behind it, it throws away what came in the same read
            await asked.wait()
            await ours.send(b"from us 2")
            await until(theirs, b"from us 2")
            await theirs.send(b"from them 1")
        assert [b"from them 1"] == got


@needs("openssl")
async def test_a_session_is_resumed_with_their_server(files: Files) -> None:
    for version in VERSIONS:
        context, session = client_context(), None
        async with their_server("openssl", version, files.key_and_cert, "-rev") as (port, _):
            for number in range(2):
                tls, opened = await connect(port, context)
                if session is not None:
                    tls.ssl_object.session = session
                async with opened as ours:
                    await ours.send(b"ab")
                    assert b"ba" == await ours.receive()
                    assert bool(number) == tls.ssl_object.session_reused
                    session = tls.ssl_object.session
