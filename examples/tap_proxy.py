"""A transparent TCP proxy, whose taps go in and out of running connections at a signal.

    python examples/tap_proxy.py example.org 80               # listens on port 8008
    python examples/tap_proxy.py --lines --port 2525 localhost 25

Then, from another terminal, as often as you like (the first line that it prints names its process):

    kill -USR1 <process>

Each connection is two pipelines, and `pump` between them. A tap goes in without un-reading anything and without
waiting for anybody, so neither end notices; with no tap in, none is paid for.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from pipeline import Pipeline, pump, serve_tcp
from stages import LineFramer, Logger, Meter

log = logging.getLogger("proxy")


def make_bytes_chain() -> Any:
    """The chain on either side: what is read is passed on as it is. Any other that keeps the bytes does as well."""
    return Meter()


def make_lines_chain() -> Any:
    """Whole lines, so that a tap shows lines; with their endings, and the last one without, they are the same bytes."""
    # The inbound half alone: what goes out came in at the other side, and is as it should be.
    return LineFramer(max_bytes=1 << 20, keep_ends=True, at_eof="emit").inbound


class Proxy:
    """Passes each connection on to one address.

    Args:
        host: where to, and
        port: at which port.
        make_chain: makes the chains, one for each side of a connection.
    """

    def __init__(self, host: str, port: int, make_chain: Any) -> None:
        self._upstream, self._make_chain = (host, port), make_chain
        self._tapped = False
        self._count = 0
        self._taps: dict[Pipeline[Any, Any], Logger] = {}  # of each connection, whether in or not: it keeps no state

    async def serve(self, client: Pipeline[Any, Any]) -> None:
        """Pass on one connection until both ends have ended; half-closes are passed on, too."""
        try:
            stream = await trio.open_tcp_stream(*self._upstream)
        except OSError as error:
            log.warning("closing: %s", error)
            return
        self._count += 1
        name = f"client {self._count}"
        async with Pipeline(stream, self._make_chain()) as server:
            self._taps[client] = Logger(name, level=logging.INFO)
            try:
                if self._tapped:
                    await put_in(self._taps[client], client)
                await pump(client, server)
            except trio.BrokenResourceError as error:
                log.info("%s: broken off: %s", name, error)
            finally:
                del self._taps[client]

    async def toggle(self) -> None:
        """Put a tap into each running connection, or take it out; those that come are like those that are there."""
        self._tapped = not self._tapped
        log.info("taps %s, in %d connections", "on" if self._tapped else "off", len(self._taps))
        for client, tap in list(self._taps.items()):
            with suppress(trio.ClosedResourceError):  # it has just ended
                await (put_in(tap, client) if self._tapped else client.remove(tap))


async def put_in(tap: Logger, pipeline: Pipeline[Any, Any]) -> None:
    """At the client's end of the chain it sees what the chain makes of the bytes; at="wire", what was read."""
    await pipeline.insert(tap, at="client")


async def main(arguments: argparse.Namespace) -> None:
    make_chain = make_lines_chain if arguments.lines else make_bytes_chain
    proxy = Proxy(arguments.to_host, arguments.to_port, make_chain)
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_tcp, host=arguments.host)
            (listener, *_) = await nursery.start(serve, proxy.serve, arguments.port, make_chain)
            host, port = listener.socket.getsockname()[:2]
            print(f"proxy on {host}:{port}; taps on and off: kill -USR1 {os.getpid()}", flush=True)
            async for _ in signals:
                await proxy.toggle()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A transparent TCP proxy with taps at a signal.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8008, help="the port to listen on, 0: any (%(default)s)")
    parser.add_argument("--lines", action="store_true", help="taps show lines, not what was read")
    parser.add_argument("to_host", help="where to pass it on")
    parser.add_argument("to_port", type=int, help="at which port")
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    try:
        trio.run(main, parser.parse_args())
    except* KeyboardInterrupt:
        print("proxy closed")
