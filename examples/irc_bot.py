"""An IRC bot: joins a channel, greets who comes, and does what it is told.

    python examples/irc_bot.py irc.example.org --channel '#penstock' --nick penny
    python examples/irc_bot.py irc.example.org --tls --channel '#penstock'

In the channel: `!hello`, `!echo some words`, `!leave`.
"""

from __future__ import annotations

import argparse
import ssl
import sys
from typing import TypeAlias

import trio

from pipeline import Duplex, Pipeline, PipelineError, open_tcp_pipeline
from stages import IRC, IdleTimeout, IRCMessage, LineFramer, recover

Connection: TypeAlias = Pipeline[IRCMessage, IRCMessage]

SILENCE_S = 600
"""Servers ask with PING more often than that, and IRC answers it; who is silent for longer is gone."""


def skip(line: bytes, error: Exception) -> list[IRCMessage]:
    """What is no message is no reason to leave."""
    print(error, file=sys.stderr)
    return []


def make_chain() -> Duplex[bytes, IRCMessage, IRCMessage, bytes]:
    # 8191 bytes of tags, and 510 for the rest
    return IdleTimeout(SILENCE_S) | LineFramer(max_bytes=8701, ending="crlf") | recover(IRC(), skip)


async def register(pipeline: Connection, nick: str) -> str:
    """Say who we are; return the nick that it became, as another one may have ours."""
    await pipeline.send_many([IRCMessage("NICK", nick), IRCMessage("USER", nick, "0", "*", "a bot made of Penstock")])
    async for message in pipeline:
        match message:
            case IRCMessage("001", (accepted, *_)):
                return accepted
            case IRCMessage("433"):
                nick += "_"
                await pipeline.send(IRCMessage("NICK", nick))
            case IRCMessage("ERROR" | "432" | "465", (*_, why)):
                raise PipelineError(f"the server refused: {why}")
    raise PipelineError("the server ended the connection")


async def serve(pipeline: Connection, nick: str, channel: str) -> None:
    """Talk, until somebody says `!leave`."""
    await pipeline.send(IRCMessage("JOIN", channel))
    async for message in pipeline:
        match message:
            case IRCMessage("JOIN", (joined,)) if message.nick == nick:
                print(f"{nick} is in {joined}", flush=True)
            case IRCMessage("JOIN", (joined,)):
                await pipeline.send(IRCMessage("PRIVMSG", joined, f"welcome, {message.nick}"))
            case IRCMessage("PRIVMSG", (target, text)) if target.lower() == channel.lower():
                if text == "!leave":
                    await pipeline.send(IRCMessage("QUIT", f"{message.nick} said so"))
                elif answer := answer_to(text, message.nick):
                    await pipeline.send(IRCMessage("PRIVMSG", channel, answer))
            case IRCMessage("403" | "471" | "473" | "474" | "475" | "ERROR", (*_, why)):
                print(why, flush=True)


def answer_to(text: str, nick: str | None) -> str:
    match text.partition(" "):
        case ("!hello", _, _):
            return f"hello, {nick}"
        case ("!echo", _, words):
            return words[:100]  # a message has 512 bytes, and a letter may have four
    return ""


async def main(host: str, port: int, nick: str, channel: str, context: ssl.SSLContext | None) -> None:
    async with await open_tcp_pipeline(host, port, make_chain(), context) as pipeline:
        with trio.fail_after(60):
            nick = await register(pipeline, nick)
        await serve(pipeline, nick, channel)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An IRC bot.")
    parser.add_argument("host")
    parser.add_argument("--port", type=int, help="6667, and 6697 with --tls, unless given")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--nick", default="penny")
    parser.add_argument("--channel", default="#penstock")
    arguments = parser.parse_args()
    context = ssl.create_default_context() if arguments.tls else None
    port = arguments.port or (6697 if arguments.tls else 6667)
    try:
        trio.run(main, arguments.host, port, arguments.nick, arguments.channel, context)
    except (OSError, PipelineError, trio.BrokenResourceError, trio.TooSlowError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print("left")
