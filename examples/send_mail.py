"""Send a mail over SMTP: STARTTLS or nothing, a login where the server wants one.

    python examples/send_mail.py --from me@here.example --to you@there.example --subject Hi mx.example < text
    python examples/send_mail.py --port 587 --user ada --from ... mx.example    # the password is asked for

The text is what is typed, or read from a file. It needs `pip install 'penstock[smtpproto]'`.
"""

from __future__ import annotations

import argparse
import getpass
import ssl
import sys
from email.message import EmailMessage
from typing import TypeAlias

import trio
from smtpproto.protocol import SMTPException, SMTPResponse

from pipeline import Pipeline, PipelineError, open_tcp_pipeline
from stages import TLS, IdleTimeout, SMTPClient, SMTPCommand

Said: TypeAlias = SMTPCommand | EmailMessage
Client: TypeAlias = Pipeline[SMTPResponse, Said]


async def ask(pipeline: Client, item: Said) -> SMTPResponse:
    """Send a command or the mail, and return the reply; a refusal is an error."""
    await pipeline.send(item)
    reply = await pipeline.receive()
    if reply.is_error():
        raise SMTPException(f"{item if isinstance(item, SMTPCommand) else 'the mail'}: {reply.code} {reply.message}")
    return reply


async def encrypt(pipeline: Client, context: ssl.SSLContext, host: str) -> None:
    """Change to TLS; a server that does not offer it, or whose certificate is another's, gets nothing."""
    hello = SMTPCommand.ehlo("localhost")
    greeting = await pipeline.receive()
    if greeting.is_error():
        raise SMTPException(f"the greeting: {greeting.code} {greeting.message}")
    await ask(pipeline, hello)
    await ask(pipeline, SMTPCommand.starttls())
    await pipeline.insert(TLS(context, host), before=SMTPClient)
    await ask(pipeline, hello)  # what was said in plaintext does not count


async def send_mail(
    host: str, port: int, mail: EmailMessage, login: SMTPCommand | None, context: ssl.SSLContext
) -> str:
    """Send one mail to all of its recipients; return what the server says to it."""
    chain = IdleTimeout(60) | SMTPClient()
    async with await open_tcp_pipeline(host, port, chain) as pipeline:
        await encrypt(pipeline, context, host)
        if login:
            await ask(pipeline, login)
        await ask(pipeline, SMTPCommand.mail(mail["From"].addresses[0].addr_spec))
        for recipient in mail["To"].addresses:
            await ask(pipeline, SMTPCommand.rcpt(recipient))
        await ask(pipeline, SMTPCommand.data())
        taken = await ask(pipeline, mail)
        await ask(pipeline, SMTPCommand.quit())
    return taken.message


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Send a mail; its text comes from stdin.")
    parser.add_argument("--from", dest="sender", required=True, metavar="ADDRESS")
    parser.add_argument("--to", action="append", required=True, metavar="ADDRESS", help="may be there several times")
    parser.add_argument("--subject", default="")
    parser.add_argument("--port", type=int, default=25, help="the server's port (%(default)s)")
    parser.add_argument("--user", help="log in under this name")
    parser.add_argument("--ca", help="PEM file: whose certificates to trust, in place of the system's")
    parser.add_argument("host", help="the server, by the name that its certificate proves")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> str:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = arguments.sender, arguments.to, arguments.subject
    login = SMTPCommand.login(arguments.user, getpass.getpass()) if arguments.user else None
    mail.set_content(sys.stdin.read())
    context = ssl.create_default_context(cafile=arguments.ca)
    return trio.run(send_mail, arguments.host, arguments.port, mail, login, context)


if __name__ == "__main__":
    try:
        print("sent:", main(parsed_arguments()))
    except (OSError, PipelineError, SMTPException, trio.BrokenResourceError) as error:
        sys.exit(f"not sent: {error}")
