"""PcapTap: a capture that Wireshark opens. Read by hand here, and by tshark in `test_pcap_tshark.py`."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.testing import Harness, check_tap, pipeline_pair
from stages import LineFramer, PcapTap
from tests.stages.taps.limited import files_of_at_most
from tests.stages.taps.pcapng import Packet, packets_of

LOCAL, PEER = ("10.0.0.1", 40000), ("10.0.0.2", 40001)


def flags(packets: list[Packet]) -> list[tuple[tuple[str, int], str]]:
    return [(packet.source, packet.flags) for packet in packets]


def bytes_from(sender: tuple[str, int], path: Path) -> bytes:
    return b"".join(packet.payload for packet in packets_of(path) if packet.source == sender)


@pytest.mark.parametrize("strict", [False, True])
def test_it_changes_nothing(tmp_path: Path, strict: bool) -> None:
    count = itertools.count()
    check_tap(
        lambda: PcapTap(tmp_path / f"{next(count)}", strict=strict),
        [b"bytes", bytearray(b"mutable"), b"", b"x" * 70000],
    )


def test_a_session_is_a_conversation(tmp_path: Path) -> None:
    before = time.time()
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.advance(1)
        harness.receive(b"hello")
        harness.advance(2.5)
        harness.send(b"hi")
        harness.finish()
        harness.send_eof()
    packets = packets_of(tmp_path / "x")
    assert flags(packets) == [
        (LOCAL, "S"),
        (PEER, "SA"),
        (LOCAL, "A"),
        (PEER, "PA"),
        (LOCAL, "PA"),
        (PEER, "FA"),
        (LOCAL, "A"),
        (LOCAL, "FA"),
        (PEER, "A"),
    ]
    assert [b"hello", b"hi"] == [packet.payload for packet in packets if packet.payload]
    began = packets[0].time
    assert before - 1e-5 <= began <= time.time() + 1e-5
    assert [0.0] * 3 + [1.0] + [3.5] * 5 == [round(packet.time - began, 4) for packet in packets]


def test_on_the_server_side_the_peer_opens_it(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x", server_side=True)):
        assert [(PEER, "S"), (LOCAL, "SA"), (PEER, "A")] == flags(packets_of(tmp_path / "x"))


def test_addresses_and_ports(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x", local=("127.0.0.1", 8000), peer=("192.168.1.2", 65535))) as harness:
        harness.receive(b"hello")
    packet = packets_of(tmp_path / "x")[3]
    assert (("192.168.1.2", 65535), ("127.0.0.1", 8000), b"hello") == (
        packet.source,
        packet.destination,
        packet.payload,
    )


def test_a_large_item_is_split(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.send(data)
    assert data == bytes_from(LOCAL, tmp_path / "x")
    assert b"" == bytes_from(PEER, tmp_path / "x")


def test_what_has_not_ended_ends_at_the_close(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.send_eof()
        assert [(LOCAL, "FA"), (PEER, "A")] == flags(packets_of(tmp_path / "x"))[3:]
    assert [(LOCAL, "FA"), (PEER, "A"), (PEER, "FA"), (LOCAL, "A")] == flags(packets_of(tmp_path / "x"))[3:]


async def test_in_a_pipeline(tmp_path: Path) -> None:
    chain = PcapTap(tmp_path / "x") | LineFramer()
    async with pipeline_pair(chain, LineFramer(), trickle=3) as (left, right):
        await right.send(b"question")
        assert b"question" == await left.receive()
        await left.send(b"answer")
        await right.send_eof()
        assert [] == [item async for item in left]
    assert (b"question\n", b"answer\n") == (bytes_from(PEER, tmp_path / "x"), bytes_from(LOCAL, tmp_path / "x"))
    assert [b"que", b"sti", b"on\n"] == [one.payload for one in packets_of(tmp_path / "x") if one.source == PEER][1:4]


def test_its_owner_alone_may_read_it_and_an_item_is_there_at_once(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.receive(b"secret")
        assert b"secret" == bytes_from(PEER, tmp_path / "x")
    assert 0o600 == (tmp_path / "x").stat().st_mode & 0o777


def test_a_program_that_is_killed_leaves_what_passed(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pipeline.testing import Harness\nfrom stages import PcapTap\n"
        f"harness = Harness(PcapTap({str(tmp_path / 'x')!r}))\n"
        "for count in range(100): harness.receive(b'%d ' % count)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert -signal.SIGKILL == subprocess.run([sys.executable, "-c", program], check=False).returncode
    assert b"".join(b"%d " % count for count in range(100)) == bytes_from(PEER, tmp_path / "x")


def test_a_stage_alone_begins_with_its_first_item(tmp_path: Path) -> None:
    tap = PcapTap(tmp_path / "x")
    assert tap.outbound
    tap.outbound.process_sync(b"hi")
    tap.outbound.close()
    assert ["S", "SA", "A", "PA", "FA", "A", "FA", "A"] == [one.flags for one in packets_of(tmp_path / "x")]


def test_a_chain_that_never_ran_leaves_no_file(tmp_path: Path) -> None:
    tap = PcapTap(tmp_path / "x")
    assert tap.inbound
    tap.inbound.close()
    assert [] == [*tmp_path.iterdir()]


def test_what_is_no_bytes_is_refused(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x")) as harness:
        with pytest.raises(
            TypeError, match=r"PcapTap\('.*/x'\) takes bytes, not str. Put it where the items are bytes"
        ):
            harness.send("text")
        harness.receive(b"hello")
    assert b"hello" == bytes_from(PEER, tmp_path / "x")


def test_at_max_bytes_the_capture_ends_and_the_traffic_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit itself passes, one byte more does not; what is there is a capture."""
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.receive(b"hello")
        limit = (tmp_path / "x").stat().st_size
    for name, max_bytes, expected in (("y", limit, b"hello"), ("z", limit - 1, b"")):
        with Harness(PcapTap(tmp_path / name, max_bytes=max_bytes)) as harness:
            assert [b"hello", b"late"] == harness.receive(b"hello", b"late")
            assert [b"out"] == harness.send(b"out")
        assert expected == bytes_from(PEER, tmp_path / name)
    message = f"PcapTap('{tmp_path}/z'): max_bytes={limit - 1} is reached, and the capture ends here; traffic goes on"
    assert message == caplog.messages[-1]
    assert 2 == len(caplog.messages)


def test_what_cannot_be_written_never_touches_the_traffic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with files_of_at_most(400), Harness(PcapTap(tmp_path / "x") | LineFramer()) as harness:
        assert [b"one"] == harness.receive(b"one\n")
        assert [b"two" * 100] == harness.receive(b"two" * 100 + b"\n")
        assert [b"three\n"] == harness.send(b"three")
    assert [f"PcapTap('{tmp_path}/x'): writing failed and ends here; traffic goes on"] == caplog.messages


def test_strict_raises_what_cannot_be_written(tmp_path: Path) -> None:
    with files_of_at_most(400), Harness(PcapTap(tmp_path / "x", strict=True)) as harness:
        harness.receive(b"one\n")
        for call in (harness.receive, harness.send):
            with pytest.raises(OSError, match="File too large"):
                call(b"two" * 100)


def test_strict_does_not_even_begin_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileExistsError, match=r"there is a file '.*/x' already"):
        Harness(PcapTap(tmp_path / "x", strict=True))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"path": 7}, TypeError, r"PcapTap\('7'\): the path must be a str or a Path, not int"),
        ({"path": "no/x"}, FileNotFoundError, r"PcapTap\('no/x'\): there is no directory '.*/no'; make it first"),
        ({"max_bytes": 0}, ValueError, r"PcapTap\(max_bytes=0\): must be 1 or more, as in PcapTap\(path, max"),
        (
            {"local": ("::1", 80)},
            ValueError,
            r"PcapTap\(local=\('::1', 80\)\): must be an IPv4 address and a port: loc",
        ),
        ({"peer": "10.0.0.2"}, ValueError, r"PcapTap\(peer='10.0.0.2'\): must .*: peer=\('10.0.0.1', 80\)"),
        ({"peer": ("10.0.0.2", 0)}, ValueError, r"PcapTap\(peer=\('10.0.0.2', 0\)\): must"),
        ({"peer": ("10.0.0.2", 65536)}, ValueError, r"PcapTap\(peer=\('10.0.0.2', 65536\)\): must"),
        ({"peer": ("10.0.0.2", "http")}, ValueError, r"PcapTap\(peer=\('10.0.0.2', 'http'\)\): must"),
        ({"peer": 80}, ValueError, r"PcapTap\(peer=80\): must"),
        ({"peer": LOCAL}, ValueError, r"PcapTap: local and peer are both \('10.0.0.1', 40000\); give one another port"),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PcapTap(**{"path": "x", **parameters})


def test_repr_shows_it_as_it_is_written() -> None:
    assert "PcapTap('x', server_side=True)" == repr(PcapTap("x", server_side=True))
