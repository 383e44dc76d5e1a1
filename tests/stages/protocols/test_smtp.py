"""SMTPClient: canned replies in, events out; what a server may do to it; and STARTTLS on a running pipeline."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from email.message import EmailMessage
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from smtpproto.protocol import (
    SMTPMissingExtension,
    SMTPProtocolViolation,
    SMTPResponse,
    SMTPUnsupportedAuthMechanism,
)

from pipeline import FrameTooLongError, IncompleteFrameError, Pipeline, StageTimeoutError, SurgeryError
from pipeline.testing import Harness, check_limit, check_linear
from stages import TLS, IdleTimeout, LineFramer, Logger, SMTPClient, SMTPCommand, TLSError
from tests.stages.framing.driving import pieces_at, random_pieces
from tests.stages.tls_parts import NAME, client_context, server_context, stranger

GREETING = b"220 mx.example ready\r\n"
OFFERS = b"250-mx.example\r\n250-SIZE 1000\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n"
EHLO = SMTPCommand.ehlo("me.example")


def response(code: int, message: str = "ok") -> SMTPResponse:
    return SMTPResponse(code, message)


def mail(text: str = "hello\n") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "hi"
    message.set_content(text)
    return message


def greeted(offers: bytes = OFFERS, **options: Any) -> Harness:
    """A client that was greeted and said EHLO."""
    harness = Harness(SMTPClient(**options))
    harness.receive(GREETING)
    harness.send(EHLO)
    harness.receive(offers)
    harness.received.clear()
    harness.sent.clear()
    return harness


# ---- replies


SESSION: list[tuple[SMTPCommand | EmailMessage | None, bytes, SMTPResponse]] = [
    (None, GREETING, response(220, "mx.example ready")),
    (EHLO, OFFERS, response(250, "mx.example\nSIZE 1000\nAUTH PLAIN LOGIN\nSTARTTLS")),
    (SMTPCommand.login("ada", "secret"), b"235 2.7.0 d\xc3\xa9j\xc3\xa0 vu\r\n", response(235, "2.7.0 déjà vu")),
    (SMTPCommand.mail("me@here.example"), b"250 \r\n", response(250, "")),
    (SMTPCommand.rcpt("no@there.example"), b"550-no such\r\n550-\r\n550 user\r\n", response(550, "no such\n\nuser")),
    (SMTPCommand.rcpt("you@there.example"), b"250\r\n", response(250, "")),
    (SMTPCommand.data(), b"354 end it with a dot\r\n", response(354, "end it with a dot")),
    (mail(), b"554 \xff spam\r\n", response(554, "\ufffd spam")),
    (SMTPCommand.noop(), b"250 ok\r\n", response(250)),
    (SMTPCommand.quit(), b"221 bye\r\n", response(221, "bye")),
]
WRITTEN = [
    b"EHLO me.example\r\n",
    b"AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n",
    b"MAIL FROM:<me@here.example>\r\n",
    b"RCPT TO:<no@there.example>\r\n",
    b"RCPT TO:<you@there.example>\r\n",
    b"DATA\r\n",
    (
        b'Subject: hi\r\nContent-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\nhello\r\n.\r\n"
    ),
    b"NOOP\r\n",
    b"QUIT\r\n",
]


def outcome(cut: Callable[[bytes], Iterable[bytes]]) -> list[SMTPResponse]:
    with Harness(SMTPClient()) as harness:
        for say, reply, _ in SESSION:
            if say is not None:
                harness.send(say)
            harness.receive(*cut(reply))
        assert WRITTEN == harness.sent
        assert harness.inbound_ended
        assert harness.outbound_ended
        return harness.received


def test_a_session_wherever_the_replies_are_cut() -> None:
    expected = [reply for _, _, reply in SESSION]
    assert expected == outcome(lambda wire: [wire])
    assert expected == outcome(lambda wire: [wire[at : at + 1] for at in range(len(wire))])
    for at in range(1, max(len(reply) for _, reply, _ in SESSION)):
        assert expected == outcome(lambda wire, at=at: [wire[:at], b"", wire[at:]])  # type: ignore[misc]


@settings(max_examples=25)
@given(st.data())
def test_a_session_with_random_cuts(data: st.DataObject) -> None:
    def cut(wire: bytes) -> list[bytes]:
        return pieces_at(wire, sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5))))

    assert [reply for _, _, reply in SESSION] == outcome(cut)


def test_what_the_server_offers_can_be_asked_for() -> None:
    stage = SMTPClient()
    harness = Harness(stage)
    harness.receive(GREETING)
    harness.send(EHLO)
    harness.receive(OFFERS)
    assert {"SIZE", "AUTH", "STARTTLS"} == stage.connection.extensions
    assert 1000 == stage.connection.max_message_size


def test_to_a_server_of_long_ago_it_says_helo() -> None:
    harness = Harness(SMTPClient())
    harness.receive(GREETING)
    harness.send(EHLO)
    assert [] == harness.receive(b"500 what?\r\n")
    assert [b"HELO me.example\r\n"] == harness.replies
    assert [response(250)] == harness.receive(b"250 ok\r\n")


@pytest.mark.parametrize(
    ("surplus", "then"),
    [(b"250 surplus\r\n", None), (b"421 closing\r\n", response(421, "closing"))],
)
async def test_a_reply_too_many_is_never_taken_for_that_to_the_next_command(
    surplus: bytes, then: SMTPResponse | None
) -> None:
    """Of replies that came in one read one is taken, and then a command is sent: the other one is none to that."""
    server, ours = trio.testing.memory_stream_pair()
    await server.send_all(GREETING)
    async with Pipeline[Any, Any](ours, SMTPClient()) as client:
        assert 220 == (await client.receive()).code
        await client.send(EHLO)
        await server.send_all(b"250 mx.example\r\n" + surplus)
        assert 250 == (await client.receive()).code
        with pytest.raises(
            SMTPProtocolViolation, match=f"{len(surplus)} bytes came behind the last reply, which would"
        ):
            await client.send(SMTPCommand.mail("ada@a.example"))
        if then is None:
            with pytest.raises(SMTPProtocolViolation, match="Unexpected response"):
                await client.receive()
        else:
            assert then == await client.receive()
        assert b"EHLO me.example\r\n" == await server.receive_some()


def test_an_unfinished_reply_can_be_given_back() -> None:
    stage = SMTPClient()
    assert [] == list(stage.inbound.process_sync(b"220-mx\r\n22"))
    assert [b"220-mx\r\n22"] == stage.inbound.unread(())
    assert 0 == stage.inbound.holds
    assert [response(220, "other")] == list(stage.inbound.process_sync(b"220 other\r\n"))


def test_behind_the_reply_to_quit_nothing_is_read() -> None:
    harness = greeted()
    harness.send(SMTPCommand.quit())
    assert [response(221, "bye")] == harness.receive(b"221 bye\r\n250 more\r\n")
    assert harness.inbound_ended


async def test_a_send_waits_for_the_reply_before_it() -> None:
    """There is no pipelining of commands: the next one goes out when the one before was answered."""
    peer, ours = trio.testing.memory_stream_pair()
    lines = Pipeline[bytes, bytes](peer, LineFramer(ending="crlf"))

    async def serve() -> None:
        await lines.send(b"220 mx")
        for expected in (b"EHLO me.example", b"NOOP", b"NOOP"):
            assert expected == await lines.receive()
            await trio.sleep(1)
            with pytest.raises(trio.WouldBlock):
                await at_once(lines)
            await lines.send(b"250 ok")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with Pipeline[Any, Any](ours, SMTPClient()) as pipeline:
            with pytest.raises(SMTPProtocolViolation, match="Required state"):
                await pipeline.send_many([EHLO, SMTPCommand.noop(), SMTPCommand.rset()])  # there is no mail
            await pipeline.send(SMTPCommand.noop())
            assert [220, 250, 250, 250] == [(await pipeline.receive()).code for _ in range(4)]
    await lines.aclose()


async def at_once(lines: Pipeline[bytes, bytes]) -> bytes:
    with trio.move_on_after(0.5):
        return await lines.receive()
    raise trio.WouldBlock


# ---- who sends


def test_login_takes_plain_where_it_is_offered() -> None:
    harness = greeted()
    assert [b"AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n"] == harness.send(SMTPCommand.login("ada", "secret"))
    assert [response(235)] == harness.receive(b"235 ok\r\n")


@pytest.mark.parametrize("cut", [1, 100])
def test_login_answers_the_questions_of_login(cut: int) -> None:
    """However they are worded; the client sees one reply."""
    harness = greeted(b"250-mx\r\n250 AUTH LOGIN\r\n")
    assert [b"AUTH LOGIN\r\n"] == harness.send(SMTPCommand.login("ada", "secret"))
    for question in (b"334 VXNlciBOYW1lAA==\r\n", b"334 UGFzc3dvcmQ6\r\n", b"535 wrong\r\n"):
        harness.receive(*[question[at : at + cut] for at in range(0, len(question), cut)])
    assert [b"YWRh\r\n", b"c2VjcmV0\r\n"] == harness.replies
    assert [response(535, "wrong")] == harness.received
    assert [b"AUTH LOGIN\r\n"] == harness.send(SMTPCommand.login("ada", "other"))


@pytest.mark.parametrize(("mechanism", "answered"), [(b"LOGIN", 2), (b"PLAIN", 0)])
def test_login_gives_up_when_the_questions_go_on(mechanism: bytes, answered: int) -> None:
    harness = greeted(b"250-mx\r\n250 AUTH %s\r\n" % mechanism)
    harness.send(SMTPCommand.login("ada", "secret"))
    harness.receive(*[b"334 more\r\n"] * (answered + 1))
    assert [b"*\r\n"] == harness.replies[answered:]
    assert [response(501, "given up")] == harness.receive(b"501 given up\r\n")


def test_other_mechanisms_are_answered_by_the_client() -> None:
    harness = greeted(b"250-mx\r\n250 AUTH CRAM-MD5\r\n")
    with pytest.raises(SMTPUnsupportedAuthMechanism, match="PLAIN is not a supported"):
        harness.send(SMTPCommand.login("ada", "secret"))
    assert [b"AUTH CRAM-MD5\r\n"] == harness.send(SMTPCommand.auth("CRAM-MD5"))
    assert [response(334, "PDE=")] == harness.receive(b"334 PDE=\r\n")
    assert [b"YWRh\r\n"] == harness.send(SMTPCommand.answer("YWRh"))
    assert [response(235)] == harness.receive(b"235 ok\r\n")


def test_what_is_not_offered_is_not_sent() -> None:
    harness = greeted(b"250 mx\r\n")
    for command in (SMTPCommand.login("ada", "secret"), SMTPCommand.starttls()):
        with pytest.raises(SMTPMissingExtension):
            harness.send(command)
    assert [] == harness.sent
    harness.send(SMTPCommand.mail("a@b"))


# ---- STARTTLS


TLS_READY = b"220 go on\r\n"


def upgrading(behind: bytes = b"") -> tuple[SMTPClient, Harness]:
    stage = SMTPClient()
    harness = Harness(stage)
    harness.receive(GREETING)
    harness.send(EHLO)
    harness.receive(OFFERS)
    harness.send(SMTPCommand.starttls())
    assert response(220, "go on") == harness.receive(TLS_READY + behind)[0]
    return stage, harness


def test_behind_starttls_nothing_is_read_nor_sent_without_tls() -> None:
    """Were it, somebody on the way could say what the server offers, and hear the password."""
    stage, harness = upgrading(b"250 injected\r\n")
    assert response(220, "go on") == harness.received[-1]
    assert not stage.inbound.wants_input
    for event in (EHLO, mail()):
        with pytest.raises(SMTPProtocolViolation, match=r"TLS is next: await pipeline.insert\(TLS\("):
            harness.send(event)
    assert [b"250 injected\r\n"] == stage.inbound.unread(())


def test_a_refused_starttls_changes_nothing() -> None:
    harness = greeted()
    harness.send(SMTPCommand.starttls())
    assert [response(454, "no")] == harness.receive(b"454 no\r\n")
    harness.send(SMTPCommand.noop())


def test_closing_instead_of_tls_says_nothing_in_plaintext() -> None:
    _, harness = upgrading()
    assert [] == harness.send_eof()


async def serve_starttls(peer: trio.abc.Stream, *, behind: bytes = b"", step: int = 1 << 16) -> list[bytes]:
    """A server's end: plaintext, then TLS; returns the commands that came over TLS."""
    lines = Pipeline[bytes, bytes](peer, LineFramer(ending="crlf"))
    await lines.send(b"220 mx")
    replies = {b"EHLO": b"250-mx\r\n250 STARTTLS", b"STARTTLS": b"220 go on"}
    for command, reply in replies.items():
        assert command == (await lines.receive()).split()[0]
        wire = reply + b"\r\n" + (behind if command == b"STARTTLS" else b"")
        for at in range(0, len(wire), step):
            await peer.send_all(wire[at : at + step])
            await trio.sleep(0.01)
    await lines.insert(TLS(server_context(), server_side=True), at="wire")
    commands = []
    async for line in lines:
        commands.append(line)
        await lines.send(b"221 bye" if line == b"QUIT" else b"250 " + line)
    await lines.aclose()
    return commands


async def up_to_starttls(pipeline: Pipeline[Any, Any]) -> None:
    assert 220 == (await pipeline.receive()).code
    for command, code in ((EHLO, 250), (SMTPCommand.starttls(), 220)):
        await pipeline.send(command)
        assert code == (await pipeline.receive()).code


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
async def test_a_session_goes_on_over_tls(step: int) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    commands: list[bytes] = []

    async def serve() -> None:
        commands.extend(await serve_starttls(peer, step=step))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with Pipeline[Any, Any](ours, SMTPClient() | Logger("smtp")) as pipeline:
            await up_to_starttls(pipeline)
            await pipeline.insert(TLS(client_context(), NAME), before=SMTPClient)
            with pytest.raises(SMTPProtocolViolation, match="Required state: one of: ready"):
                await pipeline.send(SMTPCommand.mail("a@b"))  # a second EHLO comes first
            await pipeline.send(EHLO)
            assert response(250, "EHLO me.example") == await pipeline.receive()
            with pytest.raises(SMTPMissingExtension):
                await pipeline.send(SMTPCommand.starttls())
            await pipeline.send(SMTPCommand.quit())
            assert response(221, "bye") == await pipeline.receive()
            with pytest.raises(trio.EndOfChannel):
                await pipeline.receive()
    assert [b"EHLO me.example", b"QUIT"] == commands


BEHIND = b"250 injected\r\n"


@pytest.mark.parametrize("size", range(1, len(BEHIND) + 1))
async def test_bytes_behind_the_reply_to_starttls_are_refused(size: int) -> None:
    """In the same segment as the reply, be it a whole one or its first byte (U3)."""
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(GREETING)
    async with Pipeline[Any, Any](ours, SMTPClient()) as pipeline:
        for reply, command in ((OFFERS, EHLO), (TLS_READY + BEHIND[:size], SMTPCommand.starttls())):
            await pipeline.receive()
            await pipeline.send(command)
            await peer.send_all(reply)
        await pipeline.receive()
        for _ in range(2):  # as often as one likes; nothing goes on in plaintext
            with pytest.raises(SurgeryError, match="something was received before the change"):
                await pipeline.insert(TLS(client_context(), NAME), before=SMTPClient)
            with pytest.raises(SMTPProtocolViolation, match=f"{size} bytes followed the reply to STARTTLS before TLS"):
                await pipeline.send(EHLO)
        with pytest.raises(SMTPProtocolViolation, match=f"{size} bytes followed the reply to STARTTLS before TLS"):
            await pipeline.receive()
    assert b"EHLO me.example\r\nSTARTTLS\r\n" == b"".join([piece async for piece in peer])


async def test_a_certificate_that_nobody_trusts_ends_it() -> None:
    peer, ours = trio.testing.memory_stream_pair()

    async def serve() -> None:
        with pytest.raises(TLSError, match="unknown ca"):
            await serve_starttls(peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(TLSError, match="certificate was not accepted"):
            async with Pipeline[Any, Any](ours, SMTPClient()) as pipeline:
                await up_to_starttls(pipeline)
                await pipeline.insert(TLS(client_context(trusts=stranger()), NAME), before=SMTPClient)
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


async def up_to_tls(peer: trio.abc.Stream) -> None:
    """A server's end up to where TLS would begin."""
    await peer.send_all(GREETING)
    for reply in (OFFERS, TLS_READY):
        await peer.receive_some()
        await peer.send_all(reply)
    await peer.receive_some()  # the client's first flight


@pytest.mark.parametrize(
    ("behind", "error", "says"),
    [
        (b"250 plaintext\r\n", TLSError, "TLS: "),
        (b"\x16\x03\x03", IncompleteFrameError, "ended the connection during the handshake"),
        (b"", IncompleteFrameError, "ended the connection during the handshake"),
        (None, StageTimeoutError, "IdleTimeout"),
    ],
    ids=["refused", "cut", "ended", "slow"],
)
async def test_tls_that_never_comes_is_an_error_and_the_transport_is_closed(
    behind: bytes | None, error: type[Exception], says: str
) -> None:
    peer, ours = trio.testing.memory_stream_pair()

    async def serve() -> None:
        await up_to_tls(peer)
        if behind is not None:
            await peer.send_all(behind or b"")
            await peer.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(error, match=says):
            async with Pipeline[Any, Any](ours, IdleTimeout(30) | SMTPClient()) as pipeline:
                await up_to_starttls(pipeline)
                await pipeline.insert(TLS(client_context(), NAME), before=SMTPClient)
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


# ---- a handshake that is refused, cut or slow


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"", "the server ended the connection when a reply was due \\(state: greeting_expected\\)"),
        (GREETING[:5], "ended the connection when a reply was due, 5 bytes into it"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a reply begins with three digits and a space, not with b'H'"),
        (b"250 hello\r\n", "Unexpected response: 250 hello"),
    ],
)
async def test_a_greeting_that_is_cut_or_none_is_an_error_and_the_transport_is_closed(wire: bytes, says: str) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    if wire:
        await peer.send_all(wire)
    await peer.aclose()
    with pytest.raises(SMTPProtocolViolation, match=says):
        async with Pipeline[Any, Any](ours, SMTPClient()):
            pass
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()


async def test_a_server_that_refuses_says_so_and_is_not_asked() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(b"554 no service for you\r\n")
    async with Pipeline[Any, Any](ours, SMTPClient()) as pipeline:
        assert response(554, "no service for you") == await pipeline.receive()
        with pytest.raises(SMTPProtocolViolation, match="Required state: one of: greeting_received"):
            await pipeline.send(EHLO)
    await peer.aclose()


async def test_a_greeting_that_is_slow_is_an_error_and_the_transport_is_closed() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(GREETING[:5])
    says = "SMTPClient: the server has not greeted after 300 seconds"
    with trio.fail_after(1000), pytest.raises(StageTimeoutError, match=says):
        async with Pipeline[Any, Any](ours, SMTPClient()):
            pass
    assert 300 == trio.current_time()
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()
    await peer.aclose()


def test_it_may_take_for_ever_and_behind_the_greeting_nothing_is_due() -> None:
    for options, seconds in (({"greeting_seconds": None}, 10_000), ({"greeting_seconds": 5}, 4)):
        harness = Harness(SMTPClient(**options))
        harness.advance(seconds)
        assert [220] == [reply.code for reply in harness.receive(GREETING)]
        harness.advance(10_000)
        harness.send(EHLO)
        harness.advance(10_000)


async def test_a_connection_that_ends_at_a_command_is_an_error() -> None:
    harness = greeted()
    harness.send(SMTPCommand.mail("a@b"))
    with pytest.raises(SMTPProtocolViolation, match="ended the connection when a reply was due \\(state: ready\\)"):
        harness.finish()


@pytest.mark.parametrize("said", [b"", b"421 idle for too long\r\n"])
def test_a_connection_that_ends_between_commands_has_ended(said: bytes) -> None:
    harness = greeted()
    assert [421] * bool(said) == [each.code for each in harness.receive(said)]
    assert [] == harness.finish()
    assert harness.inbound_ended


# ---- the end


async def test_closing_in_good_order_says_quit() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(GREETING)
    async with Pipeline[Any, Any](ours, SMTPClient()):
        pass
    assert b"QUIT\r\n" == await peer.receive_some()
    await peer.aclose()


async def test_closing_does_not_wait_for_a_reply_and_says_nothing_before_it() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(GREETING)
    async with Pipeline[Any, Any](ours, SMTPClient()) as pipeline:
        await pipeline.send(EHLO)
        nursery_time = trio.current_time()
        await peer.aclose()
    assert trio.current_time() == nursery_time


def test_ending_inside_a_mail_is_an_error() -> None:
    harness = greeted()
    for command, reply in [
        (SMTPCommand.mail("a@b"), b"250 ok\r\n"),
        (SMTPCommand.rcpt("a@b"), b"250 ok\r\n"),
        (SMTPCommand.data(), b"354 ok\r\n"),
    ]:
        harness.send(command)
        harness.receive(reply)
    with pytest.raises(SMTPProtocolViolation, match=r"ended inside a mail; behind the reply to data\(\), send the"):
        harness.send_eof()


def test_after_a_refused_greeting_nothing_is_said() -> None:
    harness = Harness(SMTPClient())
    harness.receive(b"554 no\r\n")
    assert [] == harness.send_eof()


# ---- what is wrong


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"x", r"not with b'x'"),
        (b"25 hello\r\n", r"not with b'25 '"),
        (b"2500 hello\r\n", r"not with b'2500'"),
        (b"\r\n", r"not with b'\\r'"),
        (b"\n", r"not with b'\\n'"),
        (b"250 hello\n", r"a line must end in CRLF, and this does not: b'250 hello\\n'"),
        (b"250 a\rb\r\n", r"must end in CRLF, and this does not: b'250 a\\rb\\r\\n'"),
        (b"250\n", r"not with b'250\\n'"),
        (b"250-a\r\n251 b\r\n", "Expected code 250, got 251 instead"),
        (b"999 a\r\n", "Unexpected response: 999 a"),
        (b"250 ok\r\n250 again\r\n", "Unexpected response: 250 again"),
        ("٢٥٠ ok\r\n".encode(), r"not with b'\\xd9'"),
    ],
)
def test_what_is_no_reply_is_an_error_wherever_it_is_cut(wire: bytes, says: str) -> None:
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        harness = greeted()
        harness.send(SMTPCommand.noop())
        with pytest.raises(SMTPProtocolViolation, match=says):
            harness.receive(*pieces)


def test_a_size_that_is_no_number_is_a_violation() -> None:
    harness = Harness(SMTPClient())
    harness.receive(GREETING)
    harness.send(EHLO)
    with pytest.raises(SMTPProtocolViolation, match=r"what the server sent is no reply: Exceeds the limit \(4300"):
        harness.receive(b"250-mx\r\n250 SIZE " + b"9" * 5000 + b"\r\n")


def test_a_limit_of_a_reply_does_not_depend_on_the_cut() -> None:
    def reply(size: int) -> bytes:
        return b"220-" + b"x" * 10 + b"\r\n220 " + b"x" * (size - 22) + b"\r\n"

    assert 60 == len(reply(60))
    check_limit(lambda n: SMTPClient(max_reply_bytes=n), reply, certain=lambda n: n - 1, limits=(60,), random_cuts=50)
    check_limit(
        lambda n: SMTPClient(max_reply_bytes=n), lambda n: b"220 " + b"x" * (n - 6) + b"\r\n", certain=lambda n: n - 1
        , limits=(7, 60), random_cuts=50
    )  # fmt: skip
    with pytest.raises(
        FrameTooLongError, match=r"SMTPClient: a reply of at least 61 bytes is over the limit, max_repl"
    ):
        Harness(SMTPClient(max_reply_bytes=60)).receive(b"220-" + b"x" * 54 + b"\r\n")


def test_a_line_without_an_end_takes_no_more_memory_than_the_limit() -> None:
    stage = SMTPClient()
    with pytest.raises(FrameTooLongError) as info:
        for _ in itertools.repeat(None, 100):
            list(stage.inbound.process_sync(b"220-" + b"x" * 1000))
    assert (65536, 65537) == (info.value.limit, info.value.size)
    assert stage.inbound.holds < 70000


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (b"NOOP\r\n", r"SMTPClient sends commands and mails, not bytes: SMTPCommand.ehlo\('me.example'\), and"),
        (SMTPCommand("VRFY"), r"not SMTPCommand.vrfy\(\): SMTPCommand.ehlo"),
    ],
)
def test_what_is_no_command_is_refused_and_nothing_else_happens(item: Any, says: str) -> None:
    harness = greeted()
    with pytest.raises(TypeError, match=says):
        harness.send(item)
    assert [b"NOOP\r\n"] == harness.send(SMTPCommand.noop())


def test_a_mail_at_the_wrong_time_is_refused() -> None:
    harness = greeted()
    with pytest.raises(SMTPProtocolViolation, match="Required state: one of: send_data; current state: ready"):
        harness.send(mail())
    assert [] == harness.sent


@pytest.mark.parametrize("size", [0, 4, -1])
def test_wrong_arguments_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"SMTPClient\(max_reply_bytes={size}\): must be a whole number of bytes, 5"):
        SMTPClient(max_reply_bytes=size)
    with pytest.raises(ValueError, match=rf"SMTPClient\(greeting_seconds={size - 4}\): must be more than 0, or None"):
        SMTPClient(greeting_seconds=size - 4)


# ---- much of it


def test_work_is_linear() -> None:
    check_linear(lambda: SMTPClient(max_reply_bytes=1 << 30), lambda n: [b"220-", *[b"x"] * n], n=1024)
    check_linear(lambda: SMTPClient(max_reply_bytes=1 << 30), lambda n: [b"220-x\r\n" * n], n=1024)


@pytest.mark.parametrize("seed", range(5))
def test_many_mails_over_one_connection_however_the_replies_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    harness = greeted()
    for number in range(20):
        said: Sequence[tuple[SMTPCommand | EmailMessage, int]] = [
            (SMTPCommand.mail(f"{number}@here.example"), 250),
            *[(SMTPCommand.rcpt("you@there.example"), 250)] * rng.randint(1, 3),
            (SMTPCommand.data(), 354),
            (mail("." * rng.randint(0, 3) + "\n"), rng.choice([250, 452, 554])),
        ]
        for command, code in said:
            harness.send(command)
            (reply,) = harness.receive(*random_pieces(rng, b"%d-a\r\n%d b\r\n" % (code, code)))
            assert response(code, "a\nb") == reply
