"""Typed messages, one JSON object a line, over TLS: a server that takes orders, and its client.

    python examples/json_lines.py                                                  # both, over a real socket
    python examples/json_lines.py serve --cert cert.pem --key key.pem              # or apart
    python examples/json_lines.py order --ca cert.pem tea 3

Needs `pip install 'penstock[msgspec]'`, which makes JSON into typed objects and refuses what does not fit. A real
server has a certificate from an authority; here `openssl` makes one for localhost, which its client is told to trust.
"""

from __future__ import annotations

import argparse
import shutil
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pipeline import Duplex, Pipeline, Reply, Result, serve_tcp
from stages import JSONDecoder, JSONEncoder, LineFramer, recover

HOST = "127.0.0.1"
NAME = "localhost"
"""What the server's certificate must prove that it is."""


@dataclass(frozen=True)
class Order:
    """What a client sends: {"item": "tea", "count": 3}."""

    item: str
    count: int


@dataclass(frozen=True)
class Answer:
    """What it gets for it."""

    accepted: bool
    text: str


# ---- the chains: LineFramer() | JSONCodec(T) where both ends speak the same; these speak differently, so the codec's
#      halves stand alone, and type checkers know that the one receives what the other one sends.


def refuse(item: object, error: Exception) -> Result[Order]:
    """Answer what is no order, and go on with the next line: here it is not worth the connection."""
    return [Reply(Answer(accepted=False, text="that is no order"))]


def make_server_chain() -> Duplex[bytes, Order, Answer, bytes]:
    # The encoder stands nearer to the wire, so that also what the decoder replies passes it.
    return LineFramer(max_bytes=4096) | JSONEncoder(Answer) | recover(JSONDecoder(Order), refuse)


def make_client_chain() -> Duplex[bytes, Answer, Order, bytes]:
    return LineFramer(max_bytes=4096) | JSONDecoder(Answer) | JSONEncoder(Order)


# ---- the server


async def take_orders(pipeline: Pipeline[Order, Answer]) -> None:
    """Answer each order; whatever the peer sends, what comes here is one."""
    async for order in pipeline:
        if order.count > 0:
            await pipeline.send(Answer(accepted=True, text=f"{order.count} × {order.item}"))
        else:
            await pipeline.send(Answer(accepted=False, text="order one or more"))


async def serve(
    port: int, cert: Path, key: Path | None, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; says which port it became."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with trio.open_nursery() as nursery:
        start = partial(serve_tcp, host=HOST, ssl_context=context)
        (listener,) = await nursery.start(start, take_orders, port, make_server_chain)
        port = listener.socket.getsockname()[1]
        print(f"orders on {HOST}:{port} over TLS, chain: {make_server_chain()!r}", flush=True)
        task_status.started(port)


# ---- the client


async def send_orders(port: int, ca: Path, orders: list[Order]) -> None:
    """Send each order and show the answer."""
    context = ssl.create_default_context(cafile=ca)
    # What open_tcp_pipeline(NAME, port, chain, context) does, by hand: TLS is one more trio stream,
    # and a chain stands on any.
    tcp = await trio.open_tcp_stream(HOST, port)
    tls = trio.SSLStream(tcp, context, server_hostname=NAME)
    async with Pipeline(tls, make_client_chain()) as pipeline:  # entering it shakes hands, or fails
        for order in orders:
            await pipeline.send(order)
            print(f"{order}  ->  {await pipeline.receive()}", flush=True)


# ---- both


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, good for a day; and its key."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    options = f"-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN={NAME}".split()
    for extension in f"subjectAltName=DNS:{NAME}", "keyUsage=critical,digitalSignature,keyCertSign":
        options += ["-addext", extension]
    command = ["openssl", "req", *options, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - nothing in it is from outside
    return cert, key


async def show(cert: Path, key: Path) -> None:
    """Server and client in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0, cert, key)
        await send_orders(port, cert, [Order("tea", 3), Order("milk", 0)])
        nursery.cancel_scope.cancel()


def main(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "serve":
            trio.run(serve, arguments.port, arguments.cert, arguments.key)
        case "order":
            trio.run(send_orders, arguments.port, arguments.ca, [Order(arguments.item, arguments.count)])
        case _ if shutil.which("openssl"):
            with tempfile.TemporaryDirectory() as directory:
                trio.run(show, *make_certificate(Path(directory)))
        case _:
            sys.exit("There is no openssl to make a certificate with: serve with one of your own, --cert and --key.")


def existing_file(path: str) -> Path:
    """Name the file that is not there, which ssl would not do."""
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return Path(path)


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Typed messages over TLS: a server and a client.")
    commands = parser.add_subparsers(dest="command", help="without one: both, with a certificate made for it")
    server = commands.add_parser("serve", help="serve until Ctrl+C")
    server.add_argument("--cert", type=existing_file, required=True, help=f"PEM file: the certificate for {NAME}")
    server.add_argument("--key", type=existing_file, help="PEM file: its key, if that is not in the same file")
    client = commands.add_parser("order", help="send one order and show the answer")
    client.add_argument("--ca", type=existing_file, required=True, help="PEM file: whose certificates to trust")
    client.add_argument("item")
    client.add_argument("count", type=int)
    for command in server, client:
        command.add_argument("--port", type=int, default=8010, help="the server's port (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(parsed_arguments())
    except* (OSError, ImportError, trio.BrokenResourceError) as errors:
        error = errors.exceptions[0]
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        # What broke a connection, a handshake for one, is the cause of trio's error.
        sys.exit(str(error.__cause__ if isinstance(error, trio.BrokenResourceError) else error))
    except* KeyboardInterrupt:
        print("closed")
