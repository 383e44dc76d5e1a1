"""Programs that nobody here wrote, which tests of protocols start: nginx, curl and others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.ports import free_port

PACKAGES = {
    "curl": "curl",
    "danted": "dante-server",
    "h2load": "nghttp2-client",
    "microsocks": "microsocks",
    "nghttp": "nghttp2-client",
    "nginx": "nginx-light",
}


def path_of(program: str) -> str | None:
    """Where it is; servers may be where only root looks."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")


def needs(program: str) -> pytest.MarkDecorator:
    reason = f"there is no {program}: apt-get install {PACKAGES[program]}"
    return pytest.mark.skipif(path_of(program) is None, reason=reason)


async def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(120):
        return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=cwd)


@asynccontextmanager
async def listening(port: int, program: str, *arguments: str) -> AsyncIterator[int]:
    """A server, from when it listens on that port."""
    path = path_of(program)
    assert path is not None
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(trio.run_process, [path, *arguments], check=False))
        with trio.fail_after(60):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    assert process.poll() is None
                    await trio.sleep(0.02)
        try:
            yield port
        finally:
            process.terminate()


@asynccontextmanager
async def nginx(folder: Path, server: str, *, http: str = "", listen: str = "") -> AsyncIterator[int]:
    """Nginx with one server, and with more around it or on its `listen`; its files are in the folder."""
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; client_max_body_size 10m; {http}\n"
        + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        + f"server {{ listen 127.0.0.1:{port} {listen}; {server} }} }}\n"
    )
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    files = "-e", f"{folder}/log", "-p", str(folder), "-c", f"{folder}/nginx.conf"
    async with listening(port, "nginx", *files, *user):
        yield port
