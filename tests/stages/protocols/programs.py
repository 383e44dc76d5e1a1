"""Programs that nobody here wrote, which tests of protocols start: nginx, curl and others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.ports import free_port

PACKAGES = {"curl": "curl", "nginx": "nginx-light", "h2load": "nghttp2-client"}


def needs(program: str) -> pytest.MarkDecorator:
    reason = f"there is no {program}: apt-get install {PACKAGES[program]}"
    return pytest.mark.skipif(shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None, reason=reason)


async def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(60):
        return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=cwd)


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
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    command = [program, "-e", f"{folder}/log", "-p", str(folder), "-c", f"{folder}/nginx.conf", *user]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(trio.run_process, command)
        with trio.fail_after(60):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.02)
        try:
            yield port
        finally:
            process.terminate()
