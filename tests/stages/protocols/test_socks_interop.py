"""SOCKS against programs that nobody here wrote: curl, microsocks, Dante; the server is the example's."""

from __future__ import annotations

import os
import pwd
import runpy
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pipeline import StageTimeoutError, open_tcp_pipeline, serve_tcp
from stages import SOCKS, LineFramer, SOCKSError
from tests.code_blocks import ROOT
from tests.ports import free_port
from tests.stages.protocols.programs import listening, needs

pytestmark = pytest.mark.real_time

LOGIN: dict[str, Any] = {"username": "Ada", "password": "secret"}
MEGABYTES = os.urandom(3 << 20)


@asynccontextmanager
async def target() -> AsyncIterator[int]:
    """What is asked for through a proxy: it greets, echoes a line, then sends megabytes, as HTTP if it was asked so."""

    async def serve(stream: trio.SocketStream) -> None:
        line = await stream.receive_some()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MEGABYTES) if line.startswith(b"GET") else line
        await stream.send_all(head + MEGABYTES)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


# ---- curl through our server


@asynccontextmanager
async def our_proxy(user: str | None = None, password: str | None = None) -> AsyncIterator[int]:
    example = runpy.run_path(str(ROOT / "examples/socks_proxy.py"))
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1")
        chain = partial(example["make_chain"], user, password)
        (listener,) = await nursery.start(serving, example["serve"], 0, chain)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def curl(*arguments: str) -> tuple[int, bytes, str]:
    with trio.fail_after(60):
        command = ["curl", "-sS", "--noproxy", "", *arguments]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


@needs("curl")
@pytest.mark.parametrize("how", ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"])
async def test_curl_gets_megabytes_and_refusals_through_our_proxy(how: str) -> None:
    async with target() as port, our_proxy() as proxy:
        assert (0, MEGABYTES, "") == await curl(how, f"127.0.0.1:{proxy}", f"http://localhost:{port}/")
        code, _, error = await curl(how, f"127.0.0.1:{proxy}", f"http://localhost:{free_port()}/")
        assert 97 == code
        assert ("(91)" if "4" in how else "(5)") in error


@needs("curl")
async def test_curl_gives_a_password() -> None:
    async with target() as port, our_proxy("Ada", "secret") as proxy:
        url = f"http://127.0.0.1:{port}/"
        for user, ends in (("Ada:secret", 0), ("Ada:wrong", 97)):
            assert ends == (await curl("--socks5", f"127.0.0.1:{proxy}", "--proxy-user", user, url))[0]
        assert 97 == (await curl("--socks5", f"127.0.0.1:{proxy}", url))[0]
        assert 97 == (await curl("--socks4", f"127.0.0.1:{proxy}", url))[0]


# ---- our client through others


def microsocks(*options: str) -> AbstractAsyncContextManager[int]:
    port = free_port()
    return listening(port, "microsocks", "-i", "127.0.0.1", "-p", str(port), *options)


def dante(folder: Path, blocked: int) -> AbstractAsyncContextManager[int]:
    port, user = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    (folder / "danted.conf").write_text(
        f"logoutput: {folder}/log\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
        f"socksmethod: none\nclientmethod: none\nuser.privileged: {user}\nuser.unprivileged: {user}\n"
        "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
        f"socks block {{ from: 127.0.0.0/8 to: 127.0.0.1/32 port = {blocked} }}\n"
        "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
    )
    return listening(port, "danted", "-f", str(folder / "danted.conf"), "-p", str(folder / "pid"), "-N", "1")


async def fetch(proxy: int, host: str, port: int, **options: Any) -> bytes:
    """What is behind the proxy: a line, and the megabytes."""
    chain = SOCKS("client", host=host, port=port, **options)
    async with await open_tcp_pipeline("127.0.0.1", proxy, chain, close_seconds=1) as pipeline:
        await pipeline.insert(LineFramer(), at="client")
        await pipeline.send(b"hello")
        assert b"hello" == await pipeline.receive()
        await pipeline.remove(LineFramer)
        await pipeline.remove(SOCKS)
        received = bytearray()
        while len(received) < len(MEGABYTES):
            received += await pipeline.receive()
        return bytes(received)


@needs("microsocks")
async def test_our_client_through_microsocks() -> None:
    async with target() as port:
        async with microsocks() as proxy:
            for host in ("127.0.0.1", "localhost"):
                assert MEGABYTES == await fetch(proxy, host, port)
            with pytest.raises(SOCKSError, match="connection refused by destination host") as info:
                await fetch(proxy, "127.0.0.1", free_port())
            assert 5 == info.value.code
            with pytest.raises(SOCKSError, match="the proxy ended the connection during the handshake"):
                await fetch(proxy, "127.0.0.1", port, version=4)
        async with microsocks("-u", "Ada", "-P", "secret") as proxy:
            assert MEGABYTES == await fetch(proxy, "127.0.0.1", port, **LOGIN)
            with pytest.raises(SOCKSError, match="auth failed with code"):
                await fetch(proxy, "127.0.0.1", port, username="Ada", password="wrong")
            with pytest.raises(SOCKSError, match="Auth method 0x00 not accepted with 0xff code"):
                await fetch(proxy, "127.0.0.1", port)


@needs("danted")
async def test_our_client_through_dante(tmp_path: Path) -> None:
    blocked = free_port()
    async with target() as port, dante(tmp_path, blocked) as proxy:
        assert MEGABYTES == await fetch(proxy, "127.0.0.1", port, version=4)
        for host in ("127.0.0.1", "localhost"):
            assert MEGABYTES == await fetch(proxy, host, port)
        with pytest.raises(SOCKSError, match="connection not allowed by ruleset") as info:
            await fetch(proxy, "127.0.0.1", blocked)
        assert 2 == info.value.code
        with pytest.raises(SOCKSError, match="request rejected or failed"):
            await fetch(proxy, "127.0.0.1", blocked, version=4)
        with pytest.raises(SOCKSError, match="Auth method 0x02 not accepted with 0xff code"):
            await fetch(proxy, "127.0.0.1", port, **LOGIN)


async def test_a_server_that_accepts_and_says_nothing_is_too_slow() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StageTimeoutError, match=r"has not done its part of the handshake after 0\.1 seconds"):
            await fetch(silent.getsockname()[1], "127.0.0.1", 80, handshake_seconds=0.1)
