"""What `WebSocket` has wsproto do with each frame: count its bytes, and compress it where that was agreed on.

wsproto has no limits, and hands out what was decompressed however much it is. Both are mended where it lets an
extension of the protocol look at frames: the size that a header announces is known before any of it is read, and
decompression stops where the limit is. It needs wsproto, so it is imported only when a stage is made.

Sources: RFC 6455, section 5; RFC 7692 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from typing import Final

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

_PLAIN: Final = RsvBits(False, False, False)  # noqa: FBT003 - as wsproto writes it
_COMPRESSED: Final = RsvBits(True, False, False)  # noqa: FBT003
_CONTINUATION: Final = int(Opcode.CONTINUATION)  # a number: an enumeration is asked by each frame
_CONTROL: Final = int(Opcode.CLOSE)
_TAIL: Final = b"\x00\x00\xff\xff"
"""What the sender of a compressed message left out at its end."""


class Frames(PerMessageDeflate):
    """The only extension that the connection has, always there, whatever was agreed on.

    Args:
        max_bytes: the longest message accepted, counted when decompressed.
        deflate: whether permessage-deflate may be agreed on.
    """

    def __init__(self, max_bytes: int, *, deflate: bool) -> None:
        super().__init__()
        self._max_bytes, self._deflate = max_bytes, deflate
        self.compresses = False  # both sides agreed on it
        self.size = 0  # bytes of the message so far, or, of one that is over the limit, as many as are known of
        self.complaint = ""  # what is wrong; wsproto says of all of it only that an extension found it
        self.begun = False  # inside a message, or a frame of it
        self._size_before = 0  # this frame
        self._is_control = self._is_compressed = False
        self._inflater: zlib._Decompress | None = None

    def enabled(self) -> bool:
        """Whether frames go through it."""
        return True

    # ---- the handshake

    def offer(self) -> bool | str:
        """What a client asks for: the simplest form, which every server understands."""
        return "client_max_window_bits" if self._deflate else False

    def accept(self, offer: str) -> bool | str | None:
        """Answer one of a client's offers: the first that can be met."""
        if not self._deflate or self.compresses:
            return None
        try:
            answer = super().accept(offer)
        except ValueError:  # a number that is none
            return None
        self.compresses = super().enabled()
        return answer

    def finalize(self, offer: str) -> None:
        """Take a server's answer."""
        if not self._deflate:
            raise ValueError("the server compresses, and was not asked to")
        try:
            super().finalize(offer)
        except IndexError as error:
            raise ValueError(f"a parameter without its value: {offer}") from error
        self.compresses = True

    # ---- in

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Judge a frame by its header alone; twice, where the header was cut in front of the mask."""
        self._is_control = opcode >= _CONTROL
        if rsv[0] and (self._is_control or opcode == _CONTINUATION):
            return self._complain(CloseReason.PROTOCOL_ERROR, f"frame {opcode:#x} is marked as compressed")
        if self._is_control:
            return _PLAIN
        self.begun = True
        if opcode != _CONTINUATION:
            self._is_compressed = rsv[0]
        if not self._is_compressed:
            self.size = self._size_before + payload_length
            if self.size > self._max_bytes:
                return self._too_big()
        return _COMPRESSED if self.compresses else _PLAIN

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Decompress a piece of a frame."""
        return self._inflate(proto, data) if self._is_compressed and not self._is_control else data

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:  # noqa: FBT001
        """End a frame, and with the last one the message."""
        if self._is_control:
            return None
        data = self._end_inflating(proto) if fin and self._is_compressed else None
        if isinstance(data, CloseReason):
            return data
        self.size, self.begun = (0, False) if fin else (self.size, True)
        self._size_before = self.size
        return data

    def _inflate(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        if self._inflater is None:
            bits = self.server_max_window_bits if proto.client else self.client_max_window_bits
            self._inflater = zlib.decompressobj(-bits)
        room = self._max_bytes - self.size + 1
        try:
            out = self._inflater.decompress(data, room)
        except zlib.error as error:
            return self._complain(CloseReason.INVALID_FRAME_PAYLOAD_DATA, str(error))
        self.size += len(out)
        return self._too_big() if len(out) == room else out

    def _end_inflating(self, proto: FrameDecoder | FrameProtocol) -> bytes | CloseReason:
        data = self._inflate(proto, _TAIL)
        forgets = self.server_no_context_takeover if proto.client else self.client_no_context_takeover
        # A message may also end its stream of compressed bytes; the next one begins another.
        if forgets or (self._inflater is not None and self._inflater.eof):
            self._inflater = None
        return data

    def _too_big(self) -> CloseReason:
        complaint = f"a message of at least {self.size} bytes is over the limit, max_bytes={self._max_bytes}"
        return self._complain(CloseReason.MESSAGE_TOO_BIG, complaint)

    def _complain(self, code: CloseReason, complaint: str) -> CloseReason:
        self.complaint = complaint
        return code

    # ---- out

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,  # noqa: FBT001
    ) -> tuple[RsvBits, bytes]:
        """Compress a frame."""
        return super().frame_outbound(proto, opcode, rsv, data, fin) if self.compresses else (rsv, data)
