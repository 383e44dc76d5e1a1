"""`TLS`, both ends in hand: what it says, what it gives, and how it fails."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from pipeline import END, Inbound, IncompleteFrameError, Reply
from pipeline.testing import Harness, check_linear
from stages import TLS, TLSError

from .tls_parts import (
    NAME,
    VERSIONS,
    Wire,
    certificate,
    client,
    client_context,
    expired,
    server,
    server_context,
    shaken,
    stranger,
    whole,
)

EACH_VERSION = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def at(place: int, data: bytes) -> list[bytes]:
    return [data[:place], data[place:]]


# ---- the handshake


@EACH_VERSION
def test_the_client_speaks_first_and_both_become_ready(version: ssl.TLSVersion) -> None:
    wire = Wire(client(version), server(version))
    assert [] == wire.server.sent
    assert 1 == len(wire.client.replies)
    assert not wire.client.engine.ready
    wire.shake()
    assert [] == wire.client.received == wire.server.received


def test_what_is_sent_before_waits_for_the_handshake() -> None:
    wire = Wire(client(), server())
    assert [] == wire.client.send(b"early")
    wire.shake()
    assert [b"early"] == wire.server.received


async def test_the_halves_alone_follow_the_contract() -> None:
    """A first flight is a `Reply`, and so is the answer to it."""
    ours, theirs = client().inbound, server().inbound
    [flight] = await ours.start()
    assert isinstance(flight, Reply)
    assert [] == list(await theirs.start())
    assert all(isinstance(answer, Reply) for answer in await theirs.process(flight.item))


@EACH_VERSION
def test_how_the_handshake_is_cut_does_not_matter(version: ssl.TLSVersion) -> None:
    for place in (*range(8), *range(50, 1200, 151)):
        wire = shaken(client(version), server(version), partial(at, place))
        wire.client.send(b"ping")
        assert [b"ping"] == wire.carry().server.received


@EACH_VERSION
def test_byte_by_byte(version: ssl.TLSVersion) -> None:
    wire = shaken(client(version), server(version), one_by_one)
    wire.client.send(b"ping", b"pong")
    wire.server.send(b"x" * 2000)
    wire.carry()
    assert [b"ping", b"pong"] == wire.server.received
    assert b"x" * 2000 == b"".join(wire.client.received)


def test_a_record_is_cut_at_every_place() -> None:
    wire = shaken(client(), server())
    for place in range(60):
        [record] = wire.client.send(b"number %d" % place)
        wire.server.receive(record[:place])
        wire.server.receive(record[place:])
    assert [b"number %d" % place for place in range(60)] == wire.server.received


@settings(max_examples=20)
@given(st.data())
def test_random_sizes_in_random_pieces(data: st.DataObject) -> None:
    seed = random.Random(data.draw(st.integers(0, 1 << 32)))
    sizes = data.draw(st.lists(st.integers(0, 20000), max_size=4))

    def cut(this: bytes) -> Iterator[bytes]:
        while this:
            size = seed.choice([1, 4, 5, 6, 1000, 20000])
            yield this[:size]
            this = this[size:]

    wire = shaken(client(), server(), cut)
    items = [seed.randbytes(size) for size in sizes]
    wire.client.send(*items)
    wire.server.send(*items)
    wire.carry()
    assert b"".join(items) == b"".join(wire.server.received) == b"".join(wire.client.received)


# ---- what is agreed on


def test_the_server_sees_the_name_and_chooses_by_it() -> None:
    """SNI: one server, a certificate for each name."""
    seen = []
    context, other = server_context(), server_context(cert=certificate("other.example"))

    def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        seen.append(name)
        connection.context = other

    context.sni_callback = choose
    ours = TLS(client_context(), "other.example")
    shaken(ours, TLS(context, server_side=True))
    assert ["other.example"] == seen
    assert (("DNS", "other.example"),) == (ours.ssl_object.getpeercert() or {})["subjectAltName"]


@EACH_VERSION
def test_alpn_is_the_servers_choice_of_what_the_client_offers(version: ssl.TLSVersion) -> None:
    contexts = client_context(version), server_context(version)
    contexts[0].set_alpn_protocols(["h2", "http/1.1"])
    contexts[1].set_alpn_protocols(["http/1.1", "h2"])
    ours: Any = TLS(contexts[0], NAME)
    theirs: Any = TLS(contexts[1], server_side=True)
    assert [None, None] == [ours.alpn_protocol, theirs.alpn_protocol]
    shaken(ours, theirs)
    assert "http/1.1" == ours.alpn_protocol == theirs.alpn_protocol
    assert version.name == ours.ssl_object.version().replace(".", "_")


def test_no_alpn_is_none() -> None:
    ours, theirs = client(), server()
    shaken(ours, theirs)
    assert ours.alpn_protocol is theirs.alpn_protocol is None


@EACH_VERSION
def test_a_client_proves_who_it_is(version: ssl.TLSVersion) -> None:
    theirs = server(version, asks_client=True)
    shaken(client(version, cert=certificate("client.example")), theirs)
    assert (("DNS", "client.example"),) == (theirs.ssl_object.getpeercert() or {})["subjectAltName"]


@EACH_VERSION
def test_a_session_is_resumed(version: ssl.TLSVersion) -> None:
    ours, theirs = client_context(version), server_context(version)
    first = TLS(ours, NAME)
    wire = shaken(first, TLS(theirs, server_side=True))
    wire.server.send(b"x")
    wire.carry()
    again = TLS(ours, NAME)
    again.ssl_object.session = first.ssl_object.session
    wire = shaken(again, TLS(theirs, server_side=True))
    assert again.ssl_object.session_reused
    wire.client.send(b"again")
    assert [b"again"] == wire.carry().server.received


def test_tickets_after_the_handshake_are_no_items() -> None:
    wire = shaken(client(ssl.TLSVersion.TLSv1_3), server(ssl.TLSVersion.TLSv1_3))
    assert 1 < len(wire.server.sent), "the server's flight, then its tickets"
    assert [] == wire.client.received


def test_tls_inside_tls() -> None:
    """Through a proxy that is itself reached over TLS."""
    wire = shaken(client() | client(), server() | server(), one_by_one)
    wire.client.send(b"secret")
    wire.server.send(b"answer" * 50)
    wire.carry()
    assert [b"secret"] == wire.server.received
    assert b"answer" * 50 == b"".join(wire.client.received)
    wire.client.send_eof()
    wire.server.send_eof()
    wire.carry()
    assert wire.client.inbound_ended
    assert wire.server.inbound_ended
    assert {} == wire.errors


# ---- what goes out


def test_an_item_of_one_record_is_one_write_and_an_empty_one_none() -> None:
    wire = shaken(client(), server())
    assert 1 == len(wire.client.send(b"x" * 16384))
    assert [] == wire.client.send(b"")


def test_a_large_item_goes_out_in_pieces_made_on_demand() -> None:
    ours = client()
    wire = shaken(ours, server())
    data = random.Random(1).randbytes(1 << 20)
    pieces = ours.outbound.process_sync(data)
    wire.server.receive(next(iter(pieces)))
    assert 65536 == sum(map(len, wire.server.received))
    for piece in pieces:
        assert isinstance(piece, bytes)
        assert len(piece) < 66000
        wire.server.receive(piece)
    assert data == b"".join(wire.server.received)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_all_kinds_of_bytes_are_taken_and_bytes_come_out(kind: type[Any]) -> None:
    wire = shaken(client(), server(), lambda data: [kind(data)])
    wire.client.send(kind(b"abc"))
    [item] = wire.carry().server.received
    assert isinstance(item, bytes)
    assert b"abc" == item


def test_text_is_refused_and_nothing_is_lost() -> None:
    wire = shaken(client(), server())
    with pytest.raises(TypeError, match="TLS takes bytes, not str"):
        wire.client.send("text")


def test_plaintext_comes_record_by_record_when_it_is_asked_for() -> None:
    ours, theirs = client(), server()
    wire = shaken(ours, theirs)
    records = b"".join(wire.server.send(b"one", b"two", b"three"))
    results = iter(ours.inbound.process_sync(records))
    assert b"one" == next(results)
    assert len(records) * 2 // 3 - 10 < ours.inbound.holds < len(records)
    assert [b"two", b"three"] == list(results)
    assert 0 == ours.inbound.holds


# ---- the end


@EACH_VERSION
def test_a_close_notify_is_the_end_and_the_other_direction_goes_on(version: ssl.TLSVersion) -> None:
    wire = shaken(client(version), server(version))
    wire.client.send(b"last")
    wire.client.send_eof()
    wire.carry()
    assert [b"last"] == wire.server.received
    assert (True, False) == (wire.server.inbound_ended, wire.client.inbound_ended)
    wire.server.send(b"and", b"still")
    wire.server.send_eof()
    wire.carry()
    assert [b"and", b"still"] == wire.client.received
    assert (True, True) == (wire.server.inbound_ended, wire.client.inbound_ended)
    assert [] == wire.client.finish() == wire.server.finish()


def test_behind_a_close_notify_nothing_is_read() -> None:
    ours, theirs = client(), server()
    wire = shaken(ours, theirs)
    end = b"".join(wire.server.send_eof())
    assert [END] == list(ours.inbound.process_sync(end + b"plaintext"))
    assert [b"plaintext"] == list(ours.inbound.unread(()) or ())
    assert [] == list(ours.inbound.process_sync(b"more"))


def test_records_that_cross_the_close_notify_are_read() -> None:
    """The close notify is taken in front of nothing that OpenSSL has: else it would call that an error."""
    ours, theirs = client(), server()
    wire = shaken(ours, theirs)
    results = iter(ours.inbound.process_sync(b"".join(wire.server.send(b"one", b"two"))))
    assert b"one" == next(results)
    wire.client.send_eof()
    assert [b"two"] == list(results)
    assert wire.carry().server.inbound_ended


@EACH_VERSION
@pytest.mark.parametrize("cut", [0, 3, 20])
def test_an_end_without_a_close_notify_is_an_error(version: ssl.TLSVersion, cut: int) -> None:
    wire = shaken(client(version), server(version))
    [record] = wire.server.send(b"1000000 to Alice")
    wire.client.receive(record[:cut])
    with pytest.raises(
        IncompleteFrameError, match="the server ended the connection without a close notify: what was"
    ) as info:
        wire.client.finish()
    assert record[:cut] == info.value.leftover
    [notify] = wire.client.send_eof()
    wire.server.receive(notify)
    assert wire.server.inbound_ended


@pytest.mark.parametrize("cut", [0, 4, 100])
def test_an_end_during_the_handshake_is_an_error(cut: int) -> None:
    wire = Wire(client(), server())
    wire.server.receive(wire.client.sent[0][:cut])
    with pytest.raises(IncompleteFrameError, match="the client ended the connection during the handshake") as info:
        wire.server.finish()
    assert wire.client.sent[0][:cut] == info.value.leftover


def test_a_close_notify_during_the_handshake_is_an_error() -> None:
    ours = Harness(client())
    with pytest.raises(TLSError, match="TLS: the server closed the connection during the handshake"):
        ours.receive(b"\x15\x03\x03\x00\x02\x01\x00")


# ---- what is refused, and what both ends say of it


def refused(ours: TLS, theirs: TLS) -> tuple[str, str]:
    """What the client and the server raise when a connection comes to nothing; the alert went out before."""
    wire = Wire(ours, theirs).carry()
    assert {"client", "server"} == wire.errors.keys()
    for error in wire.errors.values():
        assert isinstance(error, TLSError)
        assert isinstance(error.__cause__, ssl.SSLError)
    return str(wire.errors["client"]), str(wire.errors["server"])


@EACH_VERSION
@pytest.mark.parametrize(
    ("ours", "theirs", "says", "alert"),
    [
        (
            {},
            {"cert": certificate("other.example")},
            "Hostname mismatch, certificate is not valid for 'server.example'",
            "bad certificate",
        ),
        ({}, {"cert": expired()}, "certificate has expired", "certificate expired"),
        ({"trusts": stranger()}, {}, "unable to get local issuer certificate", "unknown ca"),
    ],
    ids=["wrong name", "expired", "untrusted"],
)
def test_a_client_refuses_a_certificate(
    version: ssl.TLSVersion, ours: dict[str, Any], theirs: dict[str, Any], says: str, alert: str
) -> None:
    by_client, by_server = refused(client(version, **ours), server(version, **theirs))
    assert f"TLS: the server's certificate was not accepted: {says}" == by_client
    assert f"TLS: the client broke off during the handshake with the alert '{alert}'" == by_server


@EACH_VERSION
def test_a_server_refuses_a_client(version: ssl.TLSVersion) -> None:
    """With TLS 1.3 the client was ready before the server judged: it learns of it when it next receives."""
    late = "" if version is ssl.TLSVersion.TLSv1_3 else " during the handshake"
    nameless = refused(client(version), server(version, asks_client=True))
    alert = "handshake failure" if late else "certificate required"
    assert f"TLS: the server broke off{late} with the alert '{alert}'" == nameless[0]
    assert "TLS: failed during the handshake: peer did not return a certificate" == nameless[1]
    unknown = refused(client(version, cert=stranger().issue_cert("x.example")), server(version, asks_client=True))
    assert f"TLS: the server broke off{late} with the alert 'unknown ca'" == unknown[0]
    assert "TLS: the client's certificate was not accepted: unable to get local issuer certificate" == unknown[1]


def test_no_common_version() -> None:
    by_client, by_server = refused(client(ssl.TLSVersion.TLSv1_3), server(ssl.TLSVersion.TLSv1_2))
    assert "TLS: the server broke off during the handshake with the alert 'protocol version'" == by_client
    assert "TLS: failed during the handshake: unsupported protocol" == by_server


def test_the_alert_goes_out_before_the_error() -> None:
    wire = Wire(client(trusts=stranger()), server())
    wire.carry()
    alert = wire.client.replies[-1]
    assert b"\x15\x03" == alert[:2]
    assert isinstance(wire.errors["client"], TLSError)
    assert isinstance(wire.errors["client"].__cause__, ssl.SSLCertVerificationError)
    assert wire.errors["client"].__cause__.verify_message == "unable to get local issuer certificate"


@pytest.mark.parametrize(
    ("stage", "sent", "peer"),
    [
        (client, b"220 ready when you are\r\n", "server"),
        (client, b"HTTP/1.1 400 Bad Request\r\n", "server"),
        (server, b"GET / HTTP/1.1\r\n\r\n", "client"),
        (server, b"EHLO client.example\r\n", "client"),
    ],
    ids=["smtp greeting", "http answer", "http request", "ehlo"],
)
@pytest.mark.parametrize("cut", [whole, one_by_one], ids=["whole", "one by one"])
def test_plaintext_is_named(stage: Any, sent: bytes, peer: str, cut: Any) -> None:
    harness = Harness(stage())
    with pytest.raises(TLSError, match=f"TLS: what the {peer} sent during the handshake is no TLS; it may speak plain"):
        harness.receive(*cut(sent))


def test_a_record_that_is_too_long_is_refused_by_its_header() -> None:
    harness = Harness(server())
    with pytest.raises(TLSError, match=r"TLS: failed during the handshake: .*(length|version)"):
        harness.receive(b"\x16\x03\x01\x48\x01")


@EACH_VERSION
def test_a_changed_record_is_refused_and_both_halves_stay_failed(version: ssl.TLSVersion) -> None:
    ours = client(version)
    wire = shaken(ours, server(version))
    first, second = wire.server.send(b"one", b"two")
    damaged = second[:-1] + bytes([second[-1] ^ 1])
    with pytest.raises(TLSError, match="TLS: failed: decryption failed or bad record mac"):
        wire.client.receive(first + damaged)
    assert [b"one"] == wire.client.received
    with pytest.raises(TLSError, match="bad record mac"):
        ours.inbound.process_sync(first)
    with pytest.raises(TLSError, match="bad record mac"):
        wire.client.send(b"x")
    assert ours.inbound.unread(()) is None
    wire.carry()
    assert "TLS: the client broke off with the alert 'bad record mac'" == str(wire.errors["server"])


async def test_what_failed_ends_without_a_close_notify() -> None:
    """Nothing may look complete."""
    ours = client()
    with pytest.raises(TLSError):
        list(ours.inbound.process_sync(b"no TLS"))
    assert () == await ours.outbound.finish()
    with pytest.raises(TLSError):
        await ours.inbound.finish()


# ---- what it holds and can give back


def test_what_is_not_decrypted_can_be_given_back() -> None:
    ours, theirs = client(), server()
    wire = shaken(ours, theirs)
    one, two = wire.server.send(b"one", b"two")
    results = iter(ours.inbound.process_sync(one + two[:10]))
    assert b"one" == next(results)
    assert 10 == ours.inbound.holds
    assert ours.inbound.unread([b"one"]) is None
    assert [two[:10]] == ours.inbound.unread(())
    assert 0 == ours.inbound.holds
    assert [] == ours.inbound.unread(())
    assert [b"two"] == list(ours.inbound.process_sync(two))


def test_during_a_handshake_nothing_can_be_given_back() -> None:
    assert client().inbound.unread(()) is None


def test_it_is_a_trust_boundary_and_keeps_state() -> None:
    ours = client()
    assert ours.inbound.is_trust_boundary
    assert ours.outbound.is_trust_boundary
    assert ours.outbound.keeps_outbound_state


# ---- another handshake in the middle (TLS 1.2)


class Renegotiating:
    """A server on OpenSSL that can ask for another handshake, which Python's `ssl` cannot."""

    def __init__(self) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        cert = certificate()
        context.use_certificate(cert_of(cert))
        context.use_privatekey(key_of(cert))
        self.connection = SSL.Connection(context, None)
        self.connection.set_accept_state()
        self.received = b""

    def take(self, data: bytes) -> None:
        """Read what the client wrote, as far as it goes."""
        if data:
            self.connection.bio_write(data)
        try:
            self.connection.do_handshake()
            while True:
                self.received += self.connection.recv(65536)
        except SSL.WantReadError:
            pass

    def wrote(self) -> bytes:
        """What it has to say."""
        try:
            return self.connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""


def cert_of(cert: Any) -> Any:
    return x509.load_pem_x509_certificate(cert.cert_chain_pems[0].bytes())


def key_of(cert: Any) -> Any:
    return load_pem_private_key(cert.private_key_pem.bytes(), None)


def carry(harness: Harness, peer: Renegotiating, carried: int = 0) -> int:
    """Carry between a client and the renegotiating server until both are silent; how many items were carried."""
    while True:
        data = b"".join(harness.sent[carried:])
        carried = len(harness.sent)
        peer.take(data)
        back = peer.wrote()
        if not (data or back):
            return carried
        if back:
            harness.receive(back)


def test_another_handshake_holds_up_what_is_sent_meanwhile() -> None:
    harness, peer = Harness(client(ssl.TLSVersion.TLSv1_2)), Renegotiating()
    carried = carry(harness, peer)
    peer.connection.renegotiate()
    peer.connection.do_handshake()
    harness.receive(peer.wrote())
    assert [] == harness.send(b"meanwhile"), "it is not ready"
    carried = carry(harness, peer, carried)
    assert b"meanwhile" == peer.received
    peer.connection.send(b"answer")
    carry(harness, peer, carried)
    assert [b"answer"] == harness.received


def test_another_handshake_in_the_middle_of_a_large_item() -> None:
    """What OpenSSL does not take then goes out behind the handshake, before anything else."""
    ours, peer = client(ssl.TLSVersion.TLSv1_2), Renegotiating()
    harness = Harness(ours)
    carried = carry(harness, peer)
    data = random.Random(2).randbytes(300_000)
    pieces = iter(ours.outbound.process_sync(data))
    peer.take(next(pieces))
    peer.connection.renegotiate()
    peer.connection.do_handshake()
    harness.receive(peer.wrote())
    assert [] == list(pieces)
    assert not harness.engine.ready
    assert ours.inbound.unread(()) is None
    assert [] == harness.send(b"behind")
    carry(harness, peer, carried)
    assert data + b"behind" == peer.received


# ---- what it is made with


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: TLS("localhost"), TypeError, r"TLS\('localhost'\): must be an ssl.SSLContext. For a client: TLS\(ssl"),  # type: ignore[arg-type]
        (lambda: TLS(client_context()), ValueError, "the context checks the server's name, and there is none. For a"),
        (lambda: TLS(client_context(), server_side=True), ValueError, "server_side=True.*PROTOCOL_TLS_CLIENT context"),
        (lambda: TLS(server_context(), NAME), ValueError, "PROTOCOL_TLS_SERVER context"),
        (lambda: TLS(server_context(), NAME, server_side=True), ValueError, "the name is a client's"),
    ],
    ids=["no context", "no name", "a client's context", "a server's context", "a server with a name"],
)
def test_what_does_not_fit_is_refused_with_a_right_call(make: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make()


# ---- cost


class ByteByByte(Inbound[int, Any]):
    """Takes so many bytes from a peer, in records of one size, each byte by itself."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ours, self.theirs = by_hand()

    def process_sync(self, item: int, /) -> Iterator[Any]:
        for _ in range(item // self.size):
            for record in self.theirs.outbound.process_sync(b"x" * self.size):
                for byte in one_by_one(record):
                    yield from self.ours.inbound.process_sync(byte)


def now(coroutine: Any) -> Any:
    """What an `async def` that never waits returns."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def by_hand() -> tuple[Any, Any]:
    """A client and a server whose handshake is over, and which belong to no pipeline yet."""
    ours: Any = TLS(client_context(), NAME)
    theirs: Any = TLS(server_context(), server_side=True)
    flight = [reply.item for reply in now(ours.inbound.start())]
    assert [] == list(now(theirs.inbound.start()))
    while flight:
        answer = [reply.item for data in flight for reply in theirs.inbound.process_sync(data)]
        flight = [reply.item for data in answer for reply in ours.inbound.process_sync(data)]
    return ours, theirs


@pytest.mark.parametrize("size", [1, 4096])
def test_byte_by_byte_is_linear(size: int) -> None:
    """Records of one byte, and one long record after the other."""
    check_linear(lambda: ByteByByte(size), lambda n: [n], n=256 if size == 1 else 8192)


def test_sending_is_linear() -> None:
    check_linear(lambda: by_hand()[0], lambda n: [b"x"] * n, n=512, direction="outbound")
    check_linear(lambda: by_hand()[0], lambda n: [b"x" * n], n=1 << 20, direction="outbound")
