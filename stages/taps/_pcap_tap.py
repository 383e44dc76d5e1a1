"""The bytes that pass as a capture that Wireshark opens: `PcapTap`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from typing import Any

from pipeline import Passthrough

from ._conversation import Endpoint, data_packets, farewell, handshake
from ._file import TapFile, data_of
from ._pcapng import file_header, packet_block
from ._session import SessionInbound, SessionOutbound
from ._wall import WallClock

__all__ = ["PcapTap"]


class PcapTap(Passthrough):
    r"""Write the bytes that pass as a pcapng file, which Wireshark and tshark open as one TCP conversation.

    in:  b"GET / HTTP/1.1\r\n"        out:  b"GET / HTTP/1.1\r\n"

        10.0.0.2:40001 → 10.0.0.1:40000  TCP  [PSH, ACK] Seq=1 Ack=1 Win=65535 Len=16

    The packets are made up: IPv4 and TCP headers around the items as they pass here, at the times at
    which they pass, a handshake before them, and a FIN where a direction ends. So what stands behind
    TLS is seen in clear, and every item is a packet of its own; one that is too long for a packet
    becomes several.

    One file is one session. It is made when the pipeline begins, and its owner alone may read it. Each
    item is written at once and unbuffered; of a program that dies, Wireshark shows all but the end of
    the last one. A file that exists is not written to. What cannot be written never touches the traffic:
    it is logged once, under `stages.taps`, and the capture ends there.

    Args:
        path: the file. Its directory must exist.
        local: IPv4 address and port of this end, as `socket.getsockname()` gives them.
        peer: those of the other end. Wireshark takes a port that it knows for its protocol.
        server_side: whether the peer opened the conversation; if not, this end did.
        max_bytes: how long the file may become; before an item would make it longer the capture ends.
        strict: whether what cannot be written is raised as the stage's own error.

    Raises:
        TypeError: at once: the path is none. In a running pipeline: an item is not bytes; it did not pass.
        FileNotFoundError, IsADirectoryError: at once: no file of that name can be.
        ValueError: at once: an address is no IPv4 address and port, both are the same, or max_bytes is below 1.
        OSError: with `strict`, from this item on: it could not be written, or the file was there before.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        local: tuple[str, int] = ("10.0.0.1", 40000),
        peer: tuple[str, int] = ("10.0.0.2", 40001),
        server_side: bool = False,
        max_bytes: int = 1024 * 1024 * 1024,
        strict: bool = False,
    ) -> None:
        if max_bytes < 1:
            raise ValueError(f"PcapTap(max_bytes={max_bytes}): must be 1 or more, as in PcapTap(path, max_bytes=10**8)")
        ends = {"outbound": _endpoint("local", local), "inbound": _endpoint("peer", peer)}
        if ends["outbound"] == ends["inbound"]:
            raise ValueError(f"PcapTap: local and peer are both {local!r}; give one another port")
        capture = _Capture(path, ends, server_side=server_side, max_bytes=max_bytes, strict=strict)
        super().__init__(PcapTapInbound(capture), PcapTapOutbound(capture))


def _endpoint(name: str, given: Any) -> Endpoint:
    try:
        address, port = given
        if type(port) is int and 1 <= port <= 0xFFFF:
            return Endpoint(ipaddress.IPv4Address(address).packed, port)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"PcapTap({name}={given!r}): must be an IPv4 address and a port: {name}=('10.0.0.1', 80)")


class _Capture:
    """The file, and the conversation in it; one for both directions.

    Args:
        ends: who sends in a direction.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        ends: dict[str, Endpoint],
        *,
        server_side: bool,
        max_bytes: int,
        strict: bool,
    ) -> None:
        self._stage = f"PcapTap({str(path)!r})"
        self._file = TapFile(self._stage, path, strict=strict)
        self._ends, self._server_side, self._max_bytes = ends, server_side, max_bytes
        self._time = WallClock()
        self._begun = False

    def begin(self, now: float) -> None:
        if not self._begun:
            self._begun = True
            opener, other = self._between("inbound" if self._server_side else "outbound")
            self._write(now, handshake(opener, other), head=file_header())

    def add(self, now: float, direction: str, item: Any) -> None:
        data = data_of(self._stage, item)
        self.begin(now)
        self._write(now, data_packets(*self._between(direction), data))

    def end(self, now: float, direction: str) -> None:
        self.begin(now)
        self._write(now, farewell(*self._between(direction)))

    def close(self, now: float) -> None:
        """Both halves call it."""
        if self._begun and not self._file.over:
            for direction in self._ends:
                self.end(now, direction)
        self._file.close()

    def _between(self, direction: str) -> tuple[Endpoint, Endpoint]:
        """The sender and the receiver in a direction."""
        return self._ends[direction], self._ends["inbound" if direction == "outbound" else "outbound"]

    def _write(self, now: float, packets: Iterable[bytes], head: bytes = b"") -> None:
        time = self._time(now)
        data = head + b"".join(packet_block(time, packet) for packet in packets)
        if self._file.size + len(data) <= self._max_bytes or self._file.over:
            self._file.write(data)
        else:
            self._file.end(f"max_bytes={self._max_bytes} is reached, and the capture ends here")


class PcapTapInbound(SessionInbound):
    """Inbound half of `PcapTap`."""

    name = "PcapTap.inbound"


class PcapTapOutbound(SessionOutbound):
    """Outbound half of `PcapTap`."""

    name = "PcapTap.outbound"
