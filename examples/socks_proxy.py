"""A SOCKS proxy: 4, 4a and 5, with or without a password; it connects its clients, and copies bytes both ways.

    python examples/socks_proxy.py --port 1080
    python examples/socks_proxy.py --user Ada --password secret

Then, in another terminal:

    curl --socks5-hostname 127.0.0.1:1080 http://example.org/
    curl --socks4a 127.0.0.1:1080 http://example.org/

It listens on this machine only, and connects to everywhere: a proxy that others can reach needs a password, and rules
for what it may connect to. It needs `pip install 'penstock[siosocks]'`.
"""

from __future__ import annotations

import argparse
import errno
from functools import partial

import trio

from pipeline import Duplex, Pipeline, pump, serve_tcp
from stages import SOCKS, Meter, SOCKSError, SOCKSReply, SOCKSRequest

CONNECT_SECONDS = 20
REASONS = {
    errno.ECONNREFUSED: SOCKSReply.CONNECTION_REFUSED,
    errno.EHOSTUNREACH: SOCKSReply.HOST_UNREACHABLE,
    errno.ENETUNREACH: SOCKSReply.NETWORK_UNREACHABLE,
}


def make_chain(
    user: str | None, password: str | None
) -> Duplex[bytes, bytes | SOCKSRequest, bytes | SOCKSReply, bytes]:
    return SOCKS("server", username=user, password=password)


def reason_for(error: Exception) -> SOCKSReply:
    """What the client is told. Where there are several addresses, trio's error has one behind it for each."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[-1]
    known = REASONS.get(error.errno or 0) if isinstance(error, OSError) else None
    return known or SOCKSReply.HOST_UNREACHABLE


async def serve(client: Pipeline[bytes | SOCKSRequest, bytes | SOCKSReply]) -> None:
    """Serve one connection: the question, the answer, then bytes both ways, half-closes included."""
    try:
        request = await client.receive()
        assert isinstance(request, SOCKSRequest)  # it comes first, and once
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await trio.open_tcp_stream(request.host, request.port)
        except (OSError, ValueError, trio.TooSlowError) as error:  # ValueError: a name that can be none
            print(f"refusing {request.host!r}:{request.port}: {error}", flush=True)
            await client.send(reason_for(error))
            return
        async with Pipeline(stream, Meter()) as target:
            await client.send(SOCKSReply.GRANTED)
            await client.remove(SOCKS)  # from here on every byte is the target's
            await pump(client, target)
    except trio.EndOfChannel:
        return  # it left without a word
    except (SOCKSError, TimeoutError, trio.BrokenResourceError) as error:
        print(f"closing: {error}", flush=True)


async def main(port: int, user: str | None, password: str | None) -> None:
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1", max_connections=1000)
        (listener,) = await nursery.start(serving, serve, port, partial(make_chain, user, password))
        print("SOCKS proxy on {}:{}".format(*listener.socket.getsockname()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A SOCKS proxy.")
    parser.add_argument("--port", type=int, default=1080, help="the port to listen on, 0: any (%(default)s)")
    parser.add_argument("--user", help="ask clients for this name; then SOCKS 5 only")
    parser.add_argument("--password", help="and this password")
    arguments = parser.parse_args()
    try:
        make_chain(arguments.user, arguments.password)  # what is wrong is told now, and not to each client
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    try:
        trio.run(main, arguments.port, arguments.user, arguments.password)
    except* KeyboardInterrupt:
        print("SOCKS proxy closed")
