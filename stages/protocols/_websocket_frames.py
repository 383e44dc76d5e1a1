"""What `WebSocket` has wsproto do with each frame: count its bytes, and compress it where that was agreed on.

wsproto has no limits, and hands out what was decompressed however much it is. Here the size that a header announces is
judged before any of it is read, and decompression stops where the limit is. It needs wsproto, and two of its private
names, so it is imported only when a stage is made.

Sources: RFC 6455, section 5; RFC 7692 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits

_COMPRESSED: Final = RsvBits(True, False, False)  # noqa: FBT003 - as wsproto writes it
_CONTINUATION: Final = int(Opcode.CONTINUATION)  # a number: an enumeration is asked by each frame
_CONTROL: Final = int(Opcode.CLOSE)
_TAIL: Final = b"\x00\x00\xff\xff"
"""What the sender of a compressed message left out at its end."""
_BEHIND_END: Final = (_TAIL, b"\0" + _TAIL)
"""What may come in a message behind the end of its compressed bytes: nothing, or an empty block (RFC 7692, 7.2.3.4)."""


class Frames:
    """The frames of one connection.

    Args:
        max_bytes: the longest message accepted, counted when decompressed.
        deflate: whether permessage-deflate may be agreed on.
    """

    def __init__(self, max_bytes: int, *, deflate: bool) -> None:
        self._max_bytes = max_bytes
        self.deflate = Deflate(max_bytes, wanted=deflate)

    def connect(self, role: ConnectionType, data: bytes) -> Connection:
        """Make the connection, once it is agreed on how frames are made; `data` has come already."""
        connection = Connection(role, [self.deflate] if self.deflate.is_agreed else [])
        proto: Any = connection._proto
        # An extension could judge headers, too, but is asked four times for each message.
        self._decoder = proto._frame_decoder = Decoder(proto.client, proto.extensions, self._max_bytes)
        self._messages = proto._message_decoder
        connection.receive_data(data)
        return connection

    @property
    def held(self) -> int:
        """Bytes of a message or frame that is not whole yet, or 1 where it has none so far."""
        begun = self._messages.opcode is not None or self._decoder.header is not None
        size = max(1, self._decoder.size + self.deflate.size) if begun else 0
        return size + len(self._decoder.buffer)


class Decoder(FrameDecoder):
    """wsproto's decoder of frames, with a limit for messages.

    Args:
        client: whether it is a client's.
        extensions: those that were agreed on.
        max_bytes: the longest message accepted.
    """

    def __init__(self, client: bool, extensions: list[Extension], max_bytes: int) -> None:  # noqa: FBT001
        super().__init__(client, extensions)
        self._max_bytes = max_bytes
        self.size = 0  # bytes of the message so far
        self._is_compressed = False

    def parse_header(self) -> bool:
        """Judge a frame by its header alone."""
        if not super().parse_header():
            return False
        header: Any = self.header
        opcode = header.opcode
        if opcode < _CONTROL:
            if opcode != _CONTINUATION:
                self.size, self._is_compressed = 0, header.rsv[0]
            if not self._is_compressed:  # of others it is known when they are decompressed
                self.size += header.payload_len
                if self.size > self._max_bytes:
                    raise ParseFailed(_too_big(self.size, self._max_bytes), CloseReason.MESSAGE_TOO_BIG)
        return True


class Deflate(PerMessageDeflate):
    """permessage-deflate with a limit.

    Args:
        max_bytes: the longest message accepted.
        wanted: whether it may be agreed on.
    """

    def __init__(self, max_bytes: int, *, wanted: bool) -> None:
        super().__init__()
        self._max_bytes, self._wanted = max_bytes, wanted
        self.is_agreed = False
        self.size = 0  # bytes of the message that is being decompressed so far
        self.complaint = ""  # what is wrong; wsproto says only that an extension found it
        self._is_control = self._is_compressed = False
        self._inflater: zlib._Decompress | None = None

    # ---- the handshake

    def offer(self) -> bool | str:
        """What a client asks for: the simplest form, which every server understands."""
        return "client_max_window_bits" if self._wanted else False

    def accept(self, offer: str) -> bool | str | None:
        """Answer one of a client's offers: the first that can be met."""
        if not self._wanted or self.is_agreed:
            return None
        try:
            answer = super().accept(offer)
        except ValueError:  # a number that is none
            return None
        self.is_agreed = self.enabled()
        return answer

    def finalize(self, offer: str) -> None:
        """Take a server's answer."""
        if not self._wanted:
            raise ValueError("the server compresses, and was not asked to")
        try:
            super().finalize(offer)
        except IndexError as error:
            raise ValueError(f"a parameter without its value: {offer}") from error
        self.is_agreed = True

    # ---- in

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Note whether a frame is compressed; twice, where its header was cut in front of the mask."""
        self._is_control = opcode >= _CONTROL
        if rsv[0] and (self._is_control or opcode == _CONTINUATION):
            return self._complain(CloseReason.PROTOCOL_ERROR, f"frame {opcode:#x} is marked as compressed")
        if not self._is_control and opcode != _CONTINUATION:
            self._is_compressed = rsv[0]
        return _COMPRESSED

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Decompress a piece of a frame."""
        return self._inflate(proto, data) if self._is_compressed and not self._is_control else data

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:  # noqa: FBT001
        """End a compressed message with its last frame."""
        return self._end_inflating(proto) if fin and self._is_compressed and not self._is_control else None

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
        if len(out) >= room:
            return self._complain(CloseReason.MESSAGE_TOO_BIG, _too_big(self.size, self._max_bytes))
        behind = self._inflater.unused_data
        if behind and not any(each.startswith(behind) for each in _BEHIND_END):  # zlib would keep all that comes
            return self._complain(
                CloseReason.INVALID_FRAME_PAYLOAD_DATA, "there is more behind the end of what was compressed"
            )
        return out

    def _end_inflating(self, proto: FrameDecoder | FrameProtocol) -> bytes | CloseReason:
        data = self._inflate(proto, _TAIL)
        forgets = self.server_no_context_takeover if proto.client else self.client_no_context_takeover
        # A message may also end its stream of compressed bytes; the next one begins another.
        if forgets or (self._inflater is not None and self._inflater.eof):
            self._inflater = None
        if not isinstance(data, CloseReason):
            self.size = 0
        return data

    def _complain(self, code: CloseReason, complaint: str) -> CloseReason:
        self.complaint = complaint
        return code


def _too_big(size: int, max_bytes: int) -> str:
    return f"a message of at least {size} bytes is over the limit, max_bytes={max_bytes}"
