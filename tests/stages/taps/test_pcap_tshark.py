"""What tshark, Wireshark's program for the terminal, makes of PcapTap's files; skipped where there is none.

`apt-get install tshark` installs it on Debian; `.ci/run` does.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.testing import Harness
from stages import LineFramer, PcapTap
from stages.taps._conversation import Endpoint, data_packets, farewell, handshake
from stages.taps._pcapng import file_header, packet_block

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark: apt-get install tshark"),
]

CHECKED = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]


def tshark(path: Path, *options: str) -> str:
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), *CHECKED, *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cut short" not in done.stderr
    return done.stdout


def fields(path: Path, *names: str) -> list[list[str]]:
    options = [option for name in names for option in ("-e", name)]
    return [line.split("\t") for line in tshark(path, "-T", "fields", *options).splitlines()]


def analysed(path: Path) -> set[tuple[str, ...]]:
    """Everything that tshark has to say of packets that are in order; the first part should be empty."""
    return {
        tuple(row)
        for row in fields(path, "tcp.analysis.flags", "tcp.checksum.status", "ip.checksum.status", "tcp.stream")
    }


IN_ORDER = {("", "1", "1", "0")}


def followed(path: Path) -> dict[str, bytes]:
    """The stream's bytes by sender, from `follow`: lines of hex digits, the second node's behind a tab."""
    lines = tshark(path, "-q", "-z", "follow,tcp,raw,0").splitlines()
    nodes = [line.split(": ")[1] for line in lines if line.startswith("Node ")]
    data = dict.fromkeys(nodes, b"")
    for line in lines[lines.index(f"Node 1: {nodes[1]}") + 1 : -1]:
        data[nodes[line.startswith("\t")]] += bytes.fromhex(line.strip())
    return data


def test_a_session_is_one_conversation_with_everything_right(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x", peer=("10.0.0.2", 40001), server_side=True) | LineFramer()) as harness:
        harness.advance(0.5)
        harness.receive(b"question\n")
        harness.advance(1.25)
        harness.send(b"answer")
        harness.send_eof()
        harness.advance(1)
        harness.receive(b"bye\n")
        harness.finish()

    names = ["frame.time_relative", "ip.src", "tcp.srcport", "tcp.flags.str", "tcp.seq", "tcp.ack", "tcp.payload"]
    local, peer = ["10.0.0.1", "40000"], ["10.0.0.2", "40001"]
    expected = [
        ["0.000000", *peer, "S", "0", "0", ""],
        ["0.000000", *local, "AS", "0", "1", ""],
        ["0.000000", *peer, "A", "1", "1", ""],
        ["0.500000", *peer, "AP", "1", "1", b"question\n".hex()],
        ["1.750000", *local, "AP", "1", "10", b"answer\n".hex()],
        ["1.750000", *local, "AF", "8", "10", ""],
        ["1.750000", *peer, "A", "10", "9", ""],
        ["2.750000", *peer, "AP", "10", "9", b"bye\n".hex()],
        ["2.750000", *peer, "AF", "14", "9", ""],
        ["2.750000", *local, "A", "9", "15", ""],
    ]
    rows = fields(tmp_path / "x", *names)
    assert expected == [
        [f"{float(seconds):.6f}", address, port, "".join(filter(str.isalpha, letters)), *rest]
        for seconds, address, port, letters, *rest in rows
    ]
    assert IN_ORDER == analysed(tmp_path / "x")
    assert {"10.0.0.2:40001": b"question\nbye\n", "10.0.0.1:40000": b"answer\n"} == followed(tmp_path / "x")


def test_random_sessions_have_nothing_to_remark(tmp_path: Path) -> None:
    """Small and large items, one direction alone for long, and exactly a window's worth."""
    rng = random.Random(4)
    wire = {"10.0.0.1:40000": b"", "10.0.0.2:40001": b""}
    with Harness(PcapTap(tmp_path / "x")) as harness:
        for size in [65495, 40, 65494, 40, *(rng.choice([0, 1, 2, 100, 5000, 65535, 200000]) for _ in range(60))]:
            data = rng.randbytes(size)
            sends = rng.random() < 0.2
            (harness.send if sends else harness.receive)(data)
            wire["10.0.0.1:40000" if sends else "10.0.0.2:40001"] += data
            harness.advance(rng.random())
    assert IN_ORDER == analysed(tmp_path / "x")
    assert wire == followed(tmp_path / "x")


def test_a_session_longer_than_sequence_numbers(tmp_path: Path) -> None:
    """From shortly before where they begin again."""
    a, b = Endpoint(bytes([10, 0, 0, 1]), 40000, 2**32 - 100000), Endpoint(bytes([10, 0, 0, 2]), 40001, 2**32 - 3)
    data = random.Random(5).randbytes(300000)
    packets = [*handshake(a, b), *data_packets(a, b, data), *data_packets(b, a, b"hello"), *farewell(a, b)]
    (tmp_path / "x").write_bytes(file_header() + b"".join(packet_block(1e9, packet) for packet in packets))
    assert IN_ORDER == analysed(tmp_path / "x")
    assert {"10.0.0.1:40000": data, "10.0.0.2:40001": b"hello"} == followed(tmp_path / "x")


def test_a_port_that_wireshark_knows_is_taken_for_its_protocol(tmp_path: Path) -> None:
    with Harness(PcapTap(tmp_path / "x", peer=("10.0.0.2", 80))) as harness:
        harness.send(b"GET /penstock HTTP/1.1\r\nHost: a.example\r\n\r\n")
        harness.receive(b"HTTP/1.1 204 No Content\r\n\r\n")
    rows = fields(tmp_path / "x", "http.request.uri", "http.response.code")
    assert [["/penstock", ""], ["", "204"]] == [row for row in rows if any(row)]


def test_a_capture_that_was_cut_off_opens(tmp_path: Path) -> None:
    """Tshark says that it is cut short, with what it has understood before it."""
    with Harness(PcapTap(tmp_path / "x")) as harness:
        harness.receive(b"hello")
        harness.receive(b"world")
        data = (tmp_path / "x").read_bytes()
    (tmp_path / "y").write_bytes(data[:-10])
    done = subprocess.run(
        ["tshark", "-r", str(tmp_path / "y"), "-T", "fields", "-e", "tcp.payload"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ["", "", "", b"hello".hex()] == done.stdout.splitlines()
    assert "cut short" in done.stderr
