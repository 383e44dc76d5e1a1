"""SMTPClient against a server that nobody here wrote: aiosmtpd, which takes nothing without STARTTLS and a login."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any, TypeAlias

import pytest
import trio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from pipeline import Pipeline, open_calls, open_tcp_pipeline
from stages import TLS, Rechunk, SMTPClient, SMTPCommand
from tests.stages.tls_parts import NAME, client_context, server_context

pytestmark = pytest.mark.real_time

EHLO = SMTPCommand.ehlo("me.example")


class Mails:
    """What aiosmtpd tells of: the envelopes that it took, and whether they came over TLS."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes, bool]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("no@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content, session.ssl is not None))
        return "554 spam" if b"Subject: spam" in envelope.content else "250 taken"


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"ada", b"secret"), handled=False)


class OnAnyPort(Controller):
    """A server on a port that is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture
def mails() -> Mails:
    return Mails()


@pytest.fixture
def port(mails: Mails, request: pytest.FixtureRequest) -> Iterator[int]:
    excluded = getattr(request, "param", [])
    controller = OnAnyPort(
        mails,
        hostname="127.0.0.1",
        port=0,
        ready_timeout=60,
        tls_context=server_context(),
        require_starttls=True,
        auth_required=True,
        authenticator=check_login,
        auth_exclude_mechanism=excluded,
        enable_SMTPUTF8=True,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


Connected: TypeAlias = Pipeline[Any, Any]
Said: TypeAlias = SMTPCommand | EmailMessage


async def ask(pipeline: Connected, command: Said) -> int:
    await pipeline.send(command)
    return int((await pipeline.receive()).code)


@asynccontextmanager
async def encrypted(port: int, *, step: int = 65536) -> AsyncIterator[Connected]:
    with trio.fail_after(60):
        async with await open_tcp_pipeline("127.0.0.1", port, Rechunk(step) | SMTPClient()) as pipeline:
            assert 220 == (await pipeline.receive()).code
            assert [250, 220] == [await ask(pipeline, EHLO), await ask(pipeline, SMTPCommand.starttls())]
            await pipeline.insert(TLS(client_context(), NAME), before=SMTPClient)
            assert 250 == await ask(pipeline, EHLO)
            yield pipeline


def envelope(*recipients: str, sender: str = "me@here.example") -> list[SMTPCommand]:
    return [SMTPCommand.mail(sender), *map(SMTPCommand.rcpt, recipients), SMTPCommand.data()]


def mail(text: str, subject: str = "dots") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["Bcc"] = "secret@there.example"
    message.set_content(text)
    return message


DOTS = ".\n..\n.one\n\n.\nlast.\n"


@pytest.mark.parametrize("step", [1, 65536])
@pytest.mark.parametrize("port", [[], ["PLAIN"]], ids=["PLAIN", "LOGIN"], indirect=True)
async def test_a_mail_arrives_over_tls_as_it_was(port: int, mails: Mails, step: int) -> None:
    async with encrypted(port, step=step) as pipeline:
        assert 235 == await ask(pipeline, SMTPCommand.login("ada", "secret"))
        said: list[Said] = [*envelope("you@there.example", "no@there.example"), mail(DOTS)]
        assert [250, 250, 550, 354, 250] == [await ask(pipeline, command) for command in said]
        assert 221 == await ask(pipeline, SMTPCommand.quit())
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
    ((sender, recipients, content, over_tls),) = mails.taken
    assert ("me@here.example", ["you@there.example"], True) == (sender, recipients, over_tls)
    head, _, body = content.partition(b"\r\n\r\n")
    assert DOTS.replace("\n", "\r\n").encode() == body
    assert b"secret@" not in head


async def test_many_mails_in_one_go_each_command_waits_for_its_reply(port: int, mails: Mails) -> None:
    """Also behind a mail that was refused."""
    async with encrypted(port) as pipeline:
        login = [SMTPCommand.login("ada", "wrong"), SMTPCommand.login("ada", "secret")]
        one = [*envelope("you@there.example"), mail("x" * 100_000, "spam")]
        other = [*envelope("you@there.example"), mail("y\n" * 10_000)]
        await pipeline.send_many([*login, *one, *other, SMTPCommand.noop()])
        codes = [(await pipeline.receive()).code for _ in range(11)]
        assert [535, 235, 250, 250, 354, 554, 250, 250, 354, 250, 250] == codes
    assert 2 == len(mails.taken)


async def test_tasks_that_share_one_connection(port: int, mails: Mails) -> None:
    """With a task that receives all the time, also while TLS goes in."""
    with trio.fail_after(60):
        async with await open_tcp_pipeline("127.0.0.1", port, SMTPClient()) as pipeline:
            assert 220 == (await pipeline.receive()).code
            async with open_calls(pipeline) as calls:
                assert [250, 220] == [(await calls.call(each)).code for each in (EHLO, SMTPCommand.starttls())]
                await pipeline.insert(TLS(client_context(), NAME), before=SMTPClient)
                await calls.call(EHLO)
                assert 235 == (await calls.call(SMTPCommand.login("ada", "secret"))).code
                codes: list[int] = []

                async def ask_for_nothing() -> None:
                    codes.append((await calls.call(SMTPCommand.noop())).code)

                async with trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(ask_for_nothing)
                assert [250] * 20 == codes
                said: list[Said] = [*envelope("you@there.example"), mail("hello\n")]
                assert [250, 250, 354, 250] == [(await calls.call(each)).code for each in said]
    assert 1 == len(mails.taken)


async def test_addresses_that_are_not_ascii(port: int, mails: Mails) -> None:
    async with encrypted(port) as pipeline:
        await ask(pipeline, SMTPCommand.login("ada", "secret"))
        said: list[Said] = [
            SMTPCommand.mail("ich@köln.example", smtputf8=True),
            SMTPCommand.rcpt("dü@there.example"),
            SMTPCommand.data(),
            mail("hallo\n", "grüße"),
        ]
        assert [250, 250, 354, 250] == [await ask(pipeline, command) for command in said]
    sender, recipients, content, _ = mails.taken[0]
    assert ("ich@köln.example", ["dü@there.example"]) == (sender, recipients)
    assert "Subject: grüße".encode() in content


async def test_in_plaintext_nothing_is_taken(port: int, mails: Mails) -> None:
    async with await open_tcp_pipeline("127.0.0.1", port, SMTPClient()) as pipeline:
        assert 220 == (await pipeline.receive()).code
        assert [250, 530] == [await ask(pipeline, command) for command in (EHLO, SMTPCommand.mail("me@here.example"))]
    assert [] == mails.taken


async def test_a_server_under_another_name_gets_nothing(port: int, mails: Mails) -> None:
    with pytest.raises(Exception, match="certificate was not accepted") as info:
        async with await open_tcp_pipeline("127.0.0.1", port, SMTPClient()) as pipeline:
            await pipeline.receive()
            assert [250, 220] == [await ask(pipeline, EHLO), await ask(pipeline, SMTPCommand.starttls())]
            await pipeline.insert(TLS(client_context(), "other.example"), before=SMTPClient)
    assert isinstance(info.value.__cause__, ssl.SSLCertVerificationError)
    assert [] == mails.taken
