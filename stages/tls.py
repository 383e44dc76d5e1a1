"""`TLS`: TLS as a stage, for STARTTLS, TLS inside TLS, and transports of any kind.

OpenSSL does the work, on two memory buffers (`ssl.MemoryBIO`) instead of a socket. What is done here is to
give it records and to bring on their way, in order, what it writes. Sources: RFC 8446 (TLS 1.3), RFC 5246 (1.2).

Input is cut into records before OpenSSL sees it, so that

- plaintext comes out record by record, when it is asked for;
- OpenSSL never has anything that was not read: it takes no close notify in front of data it still has;
- what is held, and what stands behind the close notify, is known to the byte;
- a peer that writes single bytes costs no call of OpenSSL for each of them.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from pipeline import END, Duplex, End, Inbound, IncompleteFrameError, Outbound, PipelineError, Reply, Result

from ._bytes import BytesLike, as_bytes

__all__ = ["TLS", "TLSError"]

_HEADER: Final = 5  # type, version (2 bytes), length (2 bytes)
_TYPES: Final = range(20, 25)  # change_cipher_spec, alert, handshake, application_data, heartbeat
_HANDSHAKE: Final = 22
_MAX_LENGTH: Final = 16384 + 2048  # of what is encrypted; TLS 1.3 allows less
_WRITE_BYTES: Final = 65536  # a pipeline writes at so many bytes


class TLSError(PipelineError):
    """TLS failed: a certificate was refused, the peer broke off, or what it sent is no valid TLS.

    Its message says what went wrong, and `__cause__` is the `ssl.SSLError`: for a certificate an
    `ssl.SSLCertVerificationError`.
    """


class TLS(Duplex[BytesLike, bytes, BytesLike, bytes]):
    """Encrypt and decrypt, as client or server; the handshake is done before any item moves.

    in:  one or more records, cut anyhow        out:  b"the plaintext of a record"

    Entering the pipeline, or `insert`, waits for the end of the handshake. At the end of outbound (`send_eof()`, or
    closing in good order) the peer gets a close notify; the peer's is the end of the input, and outbound goes on.

    Args:
        ssl_context: as `ssl.create_default_context()` makes it; ALPN, versions, whom to trust and one's own
            certificate are its matter.
        server_hostname: a client's: the name that the server must prove, also sent to it (SNI).
        server_side: whether this end is the server.

    Raises:
        TLSError: the handshake failed, or what came later is no valid TLS. The alert that tells the peer
            was given out before. Both halves stay failed.
        IncompleteFrameError: the input ended without a close notify: whether the peer meant it, or somebody cut the
            connection, nobody knows. What came before was delivered; `leftover` is the record begun.
        ValueError: from the constructor: the context and the other arguments do not fit.

    Attributes:
        ssl_object: the `ssl.SSLObject`, to ask: `version()`, `cipher()`, `getpeercert()`, `session_reused`. To
            resume, give a client's `session` to the next one, before its handshake:
            `new.ssl_object.session = old.ssl_object.session`. With TLS 1.3 there is one once something was received.
    """

    def __init__(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *, server_side: bool = False
    ) -> None:
        connection = _Connection(ssl_context, server_hostname, server_side=server_side)
        self.ssl_object = connection.ssl_object
        super().__init__(_TLSInbound(connection), _TLSOutbound(connection))

    @property
    def alpn_protocol(self) -> str | None:
        """What ALPN agreed on, such as "h2"; None: nothing, or the handshake is not over."""
        return self.ssl_object.selected_alpn_protocol()


class _Connection:
    """What both halves share: an `ssl.SSLObject`, and the bytes on their way in and out.

    Args: as for `TLS`.
    """

    def __init__(self, context: object, server_hostname: str | None, *, server_side: bool) -> None:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError(f"TLS({context!r}): must be an ssl.SSLContext. {_right_calls()}")
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server_side = server_side
        call = f"TLS(..., {server_hostname!r}, server_side={server_side})"
        if server_side and server_hostname is not None:
            raise ValueError(f"{call}: the name is a client's, who checks it. {_right_calls()}")
        if context.check_hostname and not server_side and not server_hostname:
            # An ssl.SSLObject would go on, and check no name at all.
            raise ValueError(f"{call}: the context checks the server's name, and there is none. {_right_calls()}")
        try:
            self.ssl_object = context.wrap_bio(self.incoming, self.outgoing, server_side, server_hostname)
        except (ValueError, ssl.SSLError) as error:
            raise ValueError(f"{call}: {error}. {_right_calls()}") from error
        self.shaken = False  # the first handshake is over
        self.shaking = True  # the first one, or another one (TLS 1.2), is going on
        self.unwritten: memoryview | None = None  # what OpenSSL did not take during another one
        self.catching_up = False  # that is being written
        self.failure: TLSError | None = None

    @property
    def ready(self) -> bool:
        """Whether what is sent can be encrypted, and is next."""
        return not (self.shaking or self.catching_up or self.unwritten is not None)

    @property
    def peer(self) -> str:
        """How errors call the other end."""
        return "client" if self.server_side else "server"

    def shake(self) -> None:
        """Go on with the handshake, as far as the input goes."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self.shaking = True
        else:
            self.shaken, self.shaking = True, False

    def read(self) -> bytes | End | None:
        """What the record that was given to OpenSSL becomes: data, END for a close notify, or None."""
        try:
            return self.ssl_object.read(_MAX_LENGTH) or END
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:  # a close notify, behind our own
            return END

    def write(self, data: memoryview) -> Iterator[bytes]:
        """Encrypt, lazily."""
        while data:
            try:
                data = data[self.ssl_object.write(data[:_WRITE_BYTES]) :]
            except ssl.SSLWantReadError:
                self.unwritten = data
                return
            yield self.outgoing.read()

    def fail(self, error: ssl.SSLError) -> TLSError:
        """Stay failed."""
        self.failure = TLSError(_sentence(error, self))
        self.failure.__cause__ = error
        return self.failure

    def check(self) -> None:
        """Refuse to go on after a failure."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)


class _TLSInbound(Inbound[BytesLike, bytes]):
    """The inbound half of `TLS`: shakes hands, and decrypts."""

    name = "TLS.inbound"
    peer_errors = (TLSError,)
    is_trust_boundary = True

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._buffer = bytearray()  # records that OpenSSL has not seen yet
        self._inside = False  # a record is with OpenSSL, or between OpenSSL and the client
        self._ended = False  # by a close notify

    @property
    def ready(self) -> bool:
        """False during a handshake."""
        return self._connection.ready

    @property
    def holds(self) -> int:
        """Bytes that are not decrypted yet: most often of a record that is not whole."""
        return len(self._buffer)

    async def start(self) -> Result[bytes]:
        """Begin the handshake: a client's first flight."""
        return self._guarded(self._shake())

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Decrypt, record by record.

        Raises:
            TLSError: when what came out before it is taken; the stage stays failed.
        """
        self._connection.check()
        self._buffer += as_bytes("TLS", data)
        return self._guarded(self._records()) if _record_size(self._buffer) else ()

    async def finish(self) -> Result[bytes]:
        """End of the input without a close notify: an error."""
        self._connection.check()
        during = "" if self._connection.shaken else " during the handshake"
        lost = "" if during else ": what was received may have been cut short, by the network or by an attacker"
        raise IncompleteFrameError(
            f"TLS: the {self._connection.peer} ended the connection{during} without a close notify{lost}",
            leftover=bytes(self._buffer),
        )

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back what is not decrypted yet; what was decrypted, or is part of a handshake, cannot be."""
        if list(outputs) or self._inside or not self._connection.ready or self._connection.failure is not None:
            return None
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [rest] if rest else []

    def _guarded(self, results: Iterator[Any]) -> Iterator[Any]:
        """After an error the alert goes first, so that the peer knows."""
        try:
            yield from results
        except ssl.SSLError as error:
            failure = self._connection.fail(error)
            yield from self._replies()
            raise failure from error

    def _records(self) -> Iterator[Any]:
        while not self._ended and (size := _record_size(self._buffer)):
            record = self._buffer[:size]
            del self._buffer[:size]
            self._inside = True
            self._connection.incoming.write(record)
            item = yield from self._take(is_handshake=record[0] == _HANDSHAKE)
            self._inside, self._ended = False, item is END
            if item is not None:
                yield item

    def _take(self, *, is_handshake: bool) -> Generator[Any, None, bytes | End | None]:
        """Let OpenSSL have the record; give what it has to say to the peer, and return what it becomes."""
        connection = self._connection
        if not connection.shaken:
            yield from self._shake()
            if not connection.shaken:
                return None
        item = connection.read()
        if is_handshake:  # of TLS 1.2: perhaps the begin of another handshake, or its end
            yield from self._shake()
        yield from self._replies()
        return item

    def _shake(self) -> Iterator[Any]:
        connection = self._connection
        connection.shake()
        yield from self._replies()
        if connection.unwritten is not None and not connection.shaking:
            data, connection.unwritten, connection.catching_up = connection.unwritten, None, True
            yield from map(Reply, connection.write(data))
            connection.catching_up = False

    def _replies(self) -> Iterator[Reply[bytes]]:
        """What OpenSSL has to say to the peer: a part of a handshake, new keys, an alert."""
        if self._connection.outgoing.pending:
            yield Reply(self._connection.outgoing.read())


class _TLSOutbound(Outbound[BytesLike, bytes]):
    """The outbound half of `TLS`: encrypts."""

    name = "TLS.outbound"
    is_trust_boundary = True
    holds = 0
    keeps_outbound_state = True  # each record has its number

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def process_sync(self, data: BytesLike, /) -> Iterator[bytes]:
        """Encrypt one item, lazily.

        Raises:
            TLSError: the connection has failed before.
        """
        self._connection.check()
        yield from self._connection.write(memoryview(as_bytes("TLS", data)))

    async def finish(self) -> Result[bytes]:
        """Give the close notify, unless TLS failed."""
        connection = self._connection
        if connection.failure is not None:
            return ()
        with suppress(ssl.SSLWantReadError):  # the peer's need not be here
            connection.ssl_object.unwrap()
        return [connection.outgoing.read()]


def _record_size(buffer: bytearray) -> int:
    """How long the first record is, or 0: not whole yet. What is no record is all OpenSSL's, to refuse it at once."""
    if len(buffer) < _HEADER:
        return 0
    length = int.from_bytes(buffer[3:5])
    if buffer[0] not in _TYPES or buffer[1] != 3 or length > _MAX_LENGTH:
        return len(buffer)
    size = _HEADER + length
    return size if len(buffer) >= size else 0


# ---- what errors say


def _right_calls() -> str:
    return (
        "For a client: TLS(ssl.create_default_context(), 'example.org'). For a server: "
        "TLS(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), server_side=True)"
    )


def _sentence(error: ssl.SSLError, connection: _Connection) -> str:
    """What went wrong, in the words of who reads the log."""
    peer = connection.peer
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the {peer}'s certificate was not accepted: {error.verify_message.rstrip('.')}"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    when = "" if connection.shaken else " during the handshake"
    if isinstance(error, ssl.SSLZeroReturnError):
        return f"TLS: the {peer} closed the connection{when}"
    _, alert, name = reason.partition(" alert ")
    if alert:
        return f"TLS: the {peer} broke off{when} with the alert '{name}'"
    if reason in ("http request", "wrong version number"):
        return f"TLS: what the {peer} sent{when} is no TLS; it may speak plaintext on this port ({reason})"
    return f"TLS: failed{when}: {reason}"
