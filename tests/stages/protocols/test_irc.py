"""IRC: lines in, messages out, and the reverse; PING is answered; and both ends against each other."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import FrameTooLongError, IncompleteFrameError, Pipeline, Reply, StageTimeoutError
from pipeline.testing import Harness, check_limit, check_linear, pipeline_pair
from stages import IRC, IdleTimeout, IRCMessage, LineFramer, recover

WIRE = (
    b":mx NOTICE * :hello\r\n"
    b"PING :a b\r\n"
    b"\r\n"
    b"@t=1 :ada!a@h PRIVMSG #chat :gr\xc3\xbc\xc3\x9fe\r\n"
    b"NOSUCHCOMMAND 1 2 3\r\n"
)
MESSAGES = [
    IRCMessage("NOTICE", "*", "hello", source="mx"),
    IRCMessage("PRIVMSG", "#chat", "grüße", source="ada!a@h", tags={"t": "1"}),
    IRCMessage("NOSUCHCOMMAND", "1", "2", "3"),
]


def chain(**options: Any) -> Any:
    return LineFramer(max_bytes=8701, ending="crlf") | IRC(**options)


def test_messages_wherever_the_bytes_are_cut() -> None:
    """A command that nobody knows is a message like others, and stops none."""
    for at in range(len(WIRE)):
        with Harness(chain()) as harness:
            assert MESSAGES == harness.receive(WIRE[:at], WIRE[at:])
            assert [b"PONG :a b\r\n"] == harness.replies
            harness.finish()
    with Harness(chain()) as harness:
        assert MESSAGES == harness.receive(*[WIRE[at : at + 1] for at in range(len(WIRE))])


def test_messages_are_written_as_lines() -> None:
    sent = Harness(chain()).send(*MESSAGES)
    assert WIRE.replace(b"PING :a b\r\n\r\n", b"").replace(b":hello", b"hello").replace(b":gr", b"gr") == b"".join(sent)


async def test_a_ping_is_a_reply_before_what_follows() -> None:
    stage = IRC()
    assert [Reply(b"PONG x")] == list(await stage.inbound.process(b":mx PING x"))
    assert [Reply(b"PONG")] == list(await stage.inbound.process(b"ping"))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_ping_is_answered_with_the_same_bytes_whatever_they_are(encoding: str) -> None:
    harness = Harness(IRC(encoding=encoding))
    assert [] == harness.receive(b"PING \xff\x81\x00"[:-1])
    assert [b"PONG \xff\x81"] == harness.replies


def test_pings_can_be_the_clients_matter() -> None:
    harness = Harness(IRC(answer_pings=False))
    assert [IRCMessage("PING", "x")] == harness.receive(b"PING x")
    assert [] == harness.replies


# ---- what is said


def test_bytes_that_are_no_text_are_shown_as_such_and_are_no_error() -> None:
    (message,) = Harness(IRC()).receive(b"PRIVMSG #a :\xff\xfe")
    assert "\ufffd\ufffd" == message.params[1]


def test_bytes_that_are_no_text_can_go_through() -> None:
    harness = Harness(IRC(errors="surrogateescape"))
    wire = b"PRIVMSG #a b\xff"
    assert [wire] == harness.send(*harness.receive(wire))


def test_another_encoding_is_read_and_written() -> None:
    harness = Harness(IRC(encoding="cp1252"))
    assert [IRCMessage("AWAY", "grüße")] == harness.receive(b"AWAY gr\xfc\xdfe")
    assert [b"AWAY gr\xfc\xdfe"] == harness.send(IRCMessage("AWAY", "grüße"))
    with pytest.raises(ValueError, match="can't encode"):
        harness.send(IRCMessage("AWAY", "日本"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoding": "utf-16"}, r"IRC\(encoding='utf-16'\): ASCII must be the same in it, as in 'utf-8' or 'cp1252'"),
        ({"encoding": "utf-7"}, "ASCII must be the same"),
        ({"encoding": "utf-8-sig"}, "ASCII must be the same"),
        ({"encoding": "nonsense"}, "unknown encoding: nonsense"),
        ({"errors": "nonsense"}, "unknown error handler name 'nonsense'"),
        ({"max_bytes": 0}, r"IRC\(max_bytes=0\): must be a whole number of bytes, 1 or more"),
        ({"max_tag_bytes": 0}, r"IRC\(max_tag_bytes=0\): must be"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        IRC(**options)


# ---- what is wrong


@pytest.mark.parametrize("line", [b":src", b"@a=1", b"1", b"A\0", b"A b\rc", b"\xff", b"A" * 10_000 + b"1"])
def test_a_line_that_is_no_message_is_an_error_of_that_line(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^IRC: this line is no message: ") as info:
        Harness(IRC()).receive(line)
    assert len(str(info.value)) < 500
    harness = Harness(LineFramer(max_bytes=20_000) | recover(IRC(), lambda line, error: ()))
    assert [IRCMessage("AWAY")] * 2 == harness.receive(b"AWAY\n" + line.replace(b"\r", b"\0") + b"\nAWAY\n")


def test_lines_without_a_framer_are_told_of_one() -> None:
    with pytest.raises(ValueError, match=r"LineFramer\(ending=\"crlf\"\) \| IRC\(\)"):
        Harness(IRC()).receive(b"PING :a\r\nPING :b\r\n")


def test_what_is_no_message_cannot_be_sent_and_nothing_else_happens() -> None:
    harness = Harness(IRC())
    with pytest.raises(TypeError, match=r"IRC sends messages, not str: IRCMessage\('PRIVMSG', '#chat', 'good morning'"):
        harness.send("PRIVMSG #a :b")
    assert [b"AWAY"] == harness.send(IRCMessage("AWAY"))


def test_limits_of_what_is_sent() -> None:
    """Counted in bytes, tags apart."""
    check_limit(lambda n: IRC(max_bytes=n), payload=lambda n: IRCMessage("A", "x" * (n - 4)), limits=(20, 512))
    check_limit(
        lambda n: IRC(max_tag_bytes=n), payload=lambda n: IRCMessage("A", tags={"x" * (n - 2): ""}), limits=(20, 4096)
    )
    harness = Harness(IRC())
    harness.send(IRCMessage("PRIVMSG", "#a", "ü" * 249, tags={"a": "x" * 4000}))
    with pytest.raises(FrameTooLongError, match=r"IRC: a message of 515 bytes is over the limit, max_bytes=512; noth"):
        harness.send(IRCMessage("PRIVMSG", "#a", "ü" * 251))


def test_it_serves_many_pipelines() -> None:
    stage = IRC()
    assert stage.inbound.shareable
    assert stage.outbound.shareable
    assert () == stage.inbound.unread(())
    assert stage.inbound.unread([MESSAGES[0]]) is None


def test_work_is_linear() -> None:
    line = b"@a=" + rb"\s\:" * 20 + b" :a!b@c PRIVMSG #chat x y"
    check_linear(IRC, lambda n: [line] * n, n=256)


def test_work_on_one_line_is_linear() -> None:
    def line(n: int) -> bytes:
        return b"@" + b"a;" * n + b"b=" + b"\\" * n + b" :x" + b" " * n + b"X" + b" y" * n + b" " * n + b":" * n

    check_linear(IRC, lambda n: [line(n)], n=1024)


@pytest.mark.parametrize("trickle", [None, 1])
async def test_two_ends_over_one_connection(trickle: int | None) -> None:
    """The server's ping is answered while the client receives."""
    options: dict[str, Any] = {} if trickle is None else {"trickle": trickle}
    async with pipeline_pair(chain(), chain(), **options) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.send_many, [IRCMessage("PING", "a b"), *MESSAGES])
        assert MESSAGES == [await client.receive() for _ in MESSAGES]
        assert IRCMessage("PONG", "a b") == await server.receive()
        nursery.start_soon(client.send, IRCMessage("JOIN", "#chat"))
        assert IRCMessage("JOIN", "#chat") == await server.receive()


@pytest.mark.parametrize(
    ("wire", "error", "says"),
    [
        (b"ERROR :Closing Link: banned\r\n", trio.EndOfChannel, None),
        (b"PING :x\r\n:mx 00", IncompleteFrameError, "the stream ended 6 bytes into a line"),
        (None, StageTimeoutError, "IdleTimeout"),
    ],
    ids=["refused", "cut", "slow"],
)
async def test_a_registration_that_comes_to_nothing_is_an_error_and_the_transport_is_closed(
    wire: bytes | None, error: type[Exception], says: str | None
) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    if wire is not None:
        await peer.send_all(wire)
        await peer.send_eof()
    heard = list[str]()
    with pytest.raises(error, match=says):
        async with Pipeline[Any, Any](ours, IdleTimeout(30) | chain()) as pipeline:
            await pipeline.send_many([IRCMessage("NICK", "ada"), IRCMessage("USER", "ada", "0", "*", "Ada")])
            while True:
                heard.append((await pipeline.receive()).command)
    assert heard == (["ERROR"] if error is trio.EndOfChannel else [])
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
