"""STARTTLS: a connection that begins in plaintext and goes on encrypted; enough SMTP for a mail client and a server.

    python examples/starttls.py                                           # both, over a real socket
    python examples/starttls.py serve --cert cert.pem --key key.pem       # or apart
    python examples/starttls.py send --ca cert.pem "Hello, postmaster"

    openssl s_client -starttls smtp -crlf -connect 127.0.0.1:8025         # other people's clients work, too

The change to TLS is one `insert`. What somebody put behind the STARTTLS, in plaintext, is refused by it, and the
client sends nothing to a server that does not offer STARTTLS: both are how such connections have been attacked.
"""

from __future__ import annotations

import argparse
import shutil
import ssl
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio
from json_lines import existing_file, make_certificate

from pipeline import Codec, Pipeline, PipelineError, SurgeryError, open_tcp_pipeline, serve_tcp
from stages import TLS, LineFramer, TextCodec

HOST = "127.0.0.1"
NAME = "localhost"
"""What the server's certificate must prove that it is."""


def make_chain() -> Codec[bytes, str]:
    # Only CRLF ends a line: servers that also took a lone LF have let one mail be smuggled into another.
    return LineFramer(max_bytes=4096, ending="crlf") | TextCodec()


# ---- the server


async def converse(context: ssl.SSLContext, pipeline: Pipeline[str, str]) -> None:
    """Speak with one client; mail is taken only when the connection is encrypted."""
    encrypted = False
    await pipeline.send(f"220 {NAME} ready")
    async for line in pipeline:
        match line.upper().partition(" ")[0]:
            case "EHLO" if encrypted:
                await pipeline.send(f"250 {NAME}")
            case "EHLO":
                await pipeline.send_many([f"250-{NAME}", "250 STARTTLS"])
            case "STARTTLS" if not encrypted:
                await pipeline.send("220 go ahead")  # in plaintext, and written before the handshake begins
                await pipeline.insert(TLS(context, server_side=True), at="wire")
                encrypted = True
            case "NOOP" | "RSET":
                await pipeline.send("250 OK")
            case "QUIT":
                await pipeline.send("221 bye")
                return
            case _ if not encrypted:
                await pipeline.send("530 Must issue a STARTTLS command first")
            case "MAIL" | "RCPT":
                await pipeline.send("250 OK")
            case "DATA":
                await take_mail(pipeline)
            case _:
                await pipeline.send("502 Command not implemented")


async def take_mail(pipeline: Pipeline[str, str]) -> None:
    """Take the lines of a mail, up to a dot; one that is cut short was not taken."""
    await pipeline.send("354 End it with a dot")
    mail: list[str] = []
    async for line in pipeline:
        if line == ".":
            print("mail:", " | ".join(mail), flush=True)
            await pipeline.send("250 OK")
            return
        mail.append(line.removeprefix("."))


async def serve(
    port: int, cert: Path, key: Path | None, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; says which port it became."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def handle(pipeline: Pipeline[str, str]) -> None:
        try:
            await converse(context, pipeline)
        except SurgeryError as error:
            print(f"refused: {error}", flush=True)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), handle, port, make_chain)
        port = listener.socket.getsockname()[1]
        print(f"mail on {HOST}:{port} with STARTTLS, chain: {make_chain()!r}", flush=True)
        task_status.started(port)


# ---- the client


async def ask(pipeline: Pipeline[str, str], command: str, expected: str) -> list[str]:
    """Send a command, if there is one, and return the lines of the answer, which must begin as `expected`.

    Raises:
        PipelineError: it does not, or the server said nothing more.
    """
    if command:
        await pipeline.send(command)
    lines = []
    async for line in pipeline:
        lines.append(line)
        if line[3:4] != "-":  # 250-first, 250-second, 250 last
            break
    over = pipeline.chain.parts[0].name
    print(f"{over:10}  {command or '(connected)':24}  ->  {' | '.join(lines)}", flush=True)
    if not lines or not lines[-1].startswith(expected):
        raise PipelineError(f"{command or 'the greeting'}: expected {expected}, got {lines}")
    return lines


async def send_mail(port: int, ca: Path, text: str) -> None:
    """Send one mail, encrypted or not at all."""
    context = ssl.create_default_context(cafile=ca)
    async with await open_tcp_pipeline(HOST, port, make_chain()) as pipeline:
        await ask(pipeline, "", "220")
        offers = await ask(pipeline, "EHLO client.example", "250")
        if not any(line[4:] == "STARTTLS" for line in offers):
            raise PipelineError("the server does not offer STARTTLS, or somebody on the way took the offer out")
        await ask(pipeline, "STARTTLS", "220")
        await pipeline.insert(TLS(context, NAME), at="wire")
        await ask(pipeline, "EHLO client.example", "250")  # what was said in plaintext does not count
        await ask(pipeline, "MAIL FROM:<me@client.example>", "250")
        await ask(pipeline, "RCPT TO:<postmaster>", "250")
        await ask(pipeline, "DATA", "354")
        await pipeline.send_many(f".{line}" if line.startswith(".") else line for line in text.splitlines())
        await ask(pipeline, ".", "250")
        await ask(pipeline, "QUIT", "221")


# ---- both


async def show(cert: Path, key: Path) -> None:
    """Server and client in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0, cert, key)
        await send_mail(port, cert, "Subject: hello\n\nIt works.")
        nursery.cancel_scope.cancel()


def main(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "serve":
            trio.run(serve, arguments.port, arguments.cert, arguments.key)
        case "send":
            trio.run(send_mail, arguments.port, arguments.ca, arguments.text)
        case _ if shutil.which("openssl"):
            with tempfile.TemporaryDirectory() as directory:
                trio.run(show, *make_certificate(Path(directory)))
        case _:
            sys.exit("There is no openssl to make a certificate with: serve with one of your own, --cert and --key.")


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mail over STARTTLS: a server and a client.")
    commands = parser.add_subparsers(dest="command", help="without one: both, with a certificate made for it")
    server = commands.add_parser("serve", help="serve until Ctrl+C")
    server.add_argument("--cert", type=existing_file, required=True, help=f"PEM file: the certificate for {NAME}")
    server.add_argument("--key", type=existing_file, help="PEM file: its key, if that is not in the same file")
    client = commands.add_parser("send", help="send one mail")
    client.add_argument("--ca", type=existing_file, required=True, help="PEM file: whose certificates to trust")
    client.add_argument("text")
    for command in server, client:
        command.add_argument("--port", type=int, default=8025, help="the server's port (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(parsed_arguments())
    except* (OSError, PipelineError, trio.BrokenResourceError) as errors:
        error = errors.exceptions[0]
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        sys.exit(str(error))
    except* KeyboardInterrupt:
        print("closed")
