"""A client behind a SOCKS proxy: the first stage of its chain is the way through, all others are as without.

    python examples/socks_proxy.py --port 1080
    python examples/through_socks.py --proxy 127.0.0.1:1080 http://example.org/

The proxy looks the name up (SOCKS 5, or 4a with `--version 4`). It needs `pip install 'penstock[h11,siosocks]'`.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import h11
import trio

from pipeline import Duplex, open_tcp_pipeline
from stages import HTTP1, SOCKS, IdleTimeout, SOCKSError


def make_chain(host: str, port: int, proxy: dict[str, Any]) -> Duplex[bytes, h11.Event, h11.Event, bytes]:
    """From wire to client: through the proxy, then HTTP. With TLS, `TLS(...)` would stand between the two."""
    return IdleTimeout(60) | SOCKS("client", host=host, port=port, **proxy) | HTTP1("client")


async def fetch(proxy: str, url: SplitResult, options: dict[str, Any]) -> None:
    """Get a resource, and write it to the standard output."""
    host, port = url.hostname or "", url.port or 80
    to_host, _, to_port = proxy.rpartition(":")
    target = urlunsplit(("", "", url.path or "/", url.query, ""))
    request = h11.Request(method="GET", target=target, headers=[("Host", url.netloc)])
    async with await open_tcp_pipeline(to_host, int(to_port), make_chain(host, port, options)) as pipeline:
        await pipeline.send_many([request, h11.EndOfMessage()])
        async for event in pipeline:
            if isinstance(event, h11.Response):
                print(event.status_code, event.reason.decode(), file=sys.stderr)
            elif isinstance(event, h11.Data):
                sys.stdout.buffer.write(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return


def main() -> int:
    parser = argparse.ArgumentParser(description="A client behind a SOCKS proxy.")
    parser.add_argument("url", type=urlsplit, help="what to get, such as http://example.org/")
    parser.add_argument("--proxy", default="127.0.0.1:1080", help="the proxy's address and port (%(default)s)")
    parser.add_argument("--version", type=int, choices=(4, 5), default=5, help="of SOCKS (%(default)s)")
    parser.add_argument("--user", help="a name for the proxy")
    parser.add_argument("--password", help="and a password; with SOCKS 5 only")
    arguments = parser.parse_args()
    options = {"version": arguments.version, "username": arguments.user, "password": arguments.password}
    try:
        trio.run(fetch, arguments.proxy, arguments.url, options)
    except (SOCKSError, ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
