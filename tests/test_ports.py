"""`free_port`: nobody has it, and the kernel gives it to nobody else."""

from __future__ import annotations

import secrets
import socket

import pytest

from tests.ports import free_port


def test_it_can_be_listened_on_and_is_none_that_the_kernel_gives_away() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0)) as any_port:
        assert port < 32768 <= any_port.getsockname()[1]


def test_one_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        chosen = iter([port - 20_000, 12_001])
        monkeypatch.setattr(secrets, "randbelow", lambda _: next(chosen))
        assert 32_001 == free_port()
