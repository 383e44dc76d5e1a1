"""LSP: frames in, messages out; what is no message is answered; and both ends over one connection."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Pipeline, Reply, open_calls
from pipeline.testing import Harness, check_linear, pipeline_pair
from stages import (
    LSP,
    ContentLengthFramer,
    IdleTimeout,
    LineFramer,
    RPCError,
    RPCMessage,
    RPCNotification,
    RPCRequest,
    RPCResponse,
)
from tests.stages.framing.driving import pieces_at

MESSAGES: list[tuple[bytes, RPCMessage]] = [
    (b'"id":1,"method":"initialize","params":{"a":[1,null]}', RPCRequest("initialize", {"a": [1, None]}, 1)),
    (b'"id":"x","method":"shutdown"', RPCRequest("shutdown", None, "x")),
    (b'"id":-1,"method":"add","params":[1,2]', RPCRequest("add", [1, 2], -1)),
    (b'"method":"exit"', RPCNotification("exit")),
    (b'"method":"$/progress","params":{}', RPCNotification("$/progress", {})),
    (b'"id":1,"result":null', RPCResponse(1, None)),
    (b'"id":0,"result":false', RPCResponse(0, False)),
    ('"id":"ä","result":{"contents":"ö"}'.encode(), RPCResponse("ä", {"contents": "ö"})),
    (b'"id":1,"error":{"code":-32601,"message":"no"}', RPCError(1, -32601, "no")),
    (b'"id":null,"error":{"code":1,"message":"","data":[0]}', RPCError(None, 1, "", [0])),
]


def framed(*bodies: bytes) -> bytes:
    return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)


def whole(body: bytes) -> bytes:
    return b'{"jsonrpc":"2.0",%s}' % body


def chain() -> Any:
    return ContentLengthFramer() | LSP()


# ---- messages


@pytest.mark.parametrize(
    ("body", "message"), MESSAGES, ids=lambda each: None if isinstance(each, bytes) else repr(each)
)
def test_a_frame_is_a_message_and_the_same_frame_again(body: bytes, message: RPCMessage) -> None:
    harness = Harness(LSP())
    assert [message] == harness.receive(whole(body))
    assert [whole(body)] == harness.send(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"id":1', RPCResponse(1)),
        (b'"id":1,"result":5,"error":null', RPCResponse(1, 5)),
        (b'"method":"a","params":null', RPCNotification("a")),
        (b'"method":"a","extra":1', RPCNotification("a")),
        (b'"id":1,"result":1,"error":{"code":1,"message":"x","more":2}', RPCError(1, 1, "x")),
    ],
)
def test_what_others_write_is_understood(body: bytes, message: RPCMessage) -> None:
    assert [message] == Harness(LSP()).receive(b' {"jsonrpc" : "2.0" ,\n' + body + b"} ")


def test_messages_in_one_read_wherever_it_is_cut() -> None:
    """Several in one chunk, and what a server pushes without being asked."""
    some = MESSAGES[3::4]
    wire = framed(*[whole(body) for body, _ in some])
    expected = [message for _, message in some]
    for at in range(len(wire)):
        with Harness(chain()) as harness:
            assert expected == harness.receive(wire[:at], wire[at:])
            harness.finish()


ANY_JSON = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.floats(allow_nan=False, allow_infinity=False))
IDS = st.integers() | st.text(max_size=5)
PARAMS = st.none() | st.lists(ANY_JSON, max_size=3) | st.dictionaries(st.text(max_size=5), ANY_JSON, max_size=3)
ANY_MESSAGE = (
    st.builds(RPCRequest, st.text(max_size=5), PARAMS, IDS)
    | st.builds(RPCNotification, st.text(max_size=5), PARAMS)
    | st.builds(RPCResponse, IDS, ANY_JSON)
    | st.builds(RPCError, st.none() | IDS, st.integers(), st.text(max_size=5), ANY_JSON)
)


@pytest.mark.unmeasured
@settings(max_examples=30)
@given(st.lists(ANY_MESSAGE, max_size=4), st.lists(st.floats(0, 1), max_size=4))
def test_two_ends_understand_each_other_with_random_cuts(messages: list[RPCMessage], cuts: list[float]) -> None:
    wire = b"".join(Harness(chain()).send(*messages))
    places = sorted(int(cut * len(wire)) for cut in cuts)
    assert messages == Harness(chain()).receive(*pieces_at(wire, places))


def test_a_lone_surrogate_goes_through() -> None:
    harness = Harness(LSP())
    (message,) = harness.receive(whole(b'"id":1,"result":"\\ud800"'))
    assert [whole(b'"id":1,"result":"\\ud800"')] == harness.send(message)


def test_messages_may_be_lines() -> None:
    """As those of the Model Context Protocol."""
    harness = Harness(LineFramer() | LSP())
    assert [RPCNotification("a")] == harness.receive(whole(b'"method":"a"') + b"\n")
    assert [whole(b'"id":1,"method":"b","params":["\\n"]') + b"\n"] == harness.send(RPCRequest("b", ["\n"], 1))


# ---- what is no message


NO_JSON = [
    (b"", "Expecting value: line 1 column 1 (char 0)"),
    (b"hello", "Expecting value: line 1 column 1 (char 0)"),
    (b'{"jsonrpc":"2.0"', "Expecting ',' delimiter"),
    (whole(b'"id":1,"result":NaN'), "NaN is none"),
    (whole(b'"id":1') * 2, "Extra data"),
    (b"\xff", "'utf-8' codec can't decode byte 0xff"),
    (b"\xef\xbb\xbf{}", "Expecting value"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b"1" * 5000, "Exceeds the limit (4300 digits)"),
]
NO_MESSAGE: list[tuple[bytes, int | str | None, str]] = [
    (b"1", None, "a message is an object"),
    (b'[{"jsonrpc":"2.0","method":"a"}]', None, "a message is an object, and batches are no part of the protocol"),
    (b'{"id":1,"method":"a"}', 1, '"jsonrpc" must be "2.0"'),
    (b'{"jsonrpc":2.0,"method":"a"}', None, '"jsonrpc" must be "2.0"'),
    (b'{"jsonrpc":"2.0"}', None, '"method" must be a string'),
    (whole(b'"method":1,"id":"x"'), "x", '"method" must be a string'),
    (whole(b'"method":"a","params":1,"id":2'), 2, '"params" must be an object or an array'),
    (whole(b'"method":"a","id":null'), None, '"id" must be a string or a whole number'),
    (whole(b'"method":"a","id":true'), None, '"id" must be a string or a whole number'),
    (whole(b'"method":"a","id":1.5'), None, '"id" must be a string or a whole number'),
    (whole(b'"method":"a","id":{}'), None, '"id" must be a string or a whole number'),
]
WRONG_REPLIES = [
    (b'{"id":1,"result":2}', '"jsonrpc" must be "2.0"'),
    (whole(b'"id":null,"result":1'), '"id" must be a string or a whole number'),
    (whole(b'"id":[],"error":{"code":1,"message":"x"}'), '"id" must be a string or a whole number'),
    (whole(b'"id":1,"error":1'), '"error" must have a "code", a whole number, and a "message", a string'),
    (whole(b'"id":1,"error":{"code":"1","message":"x"}'), '"error" must have a "code"'),
    (whole(b'"id":1,"error":{"code":1}'), '"error" must have a "code"'),
]
WRONG = [
    *[(frame, -32700, None, f"this is no JSON: {says}") for frame, says in NO_JSON],
    *[(frame, -32600, to, says) for frame, to, says in NO_MESSAGE],
    *[(frame, None, None, says) for frame, says in WRONG_REPLIES],
]


@pytest.mark.parametrize(("frame", "code", "to", "says"), WRONG, ids=[f"{frame[:40]!r}" for frame, *_ in WRONG])
def test_what_is_no_message_is_answered_before_it_is_raised(
    frame: bytes, code: int | None, to: int | str | None, says: str
) -> None:
    """But for replies: two ends that answer each other's answers would never end."""
    harness = Harness(LSP())
    with pytest.raises(ValueError, match=r"^LSP: ") as info:
        harness.receive(frame)
    assert str(info.value).startswith(f"LSP: {says}")
    assert len(str(info.value)) < 500
    answers = [json.loads(reply) for reply in harness.replies]
    assert [(to, code)] * (code is not None) == [(answer["id"], answer["error"]["code"]) for answer in answers]
    assert all(answer["error"]["message"].startswith(says) for answer in answers)


def test_frames_without_a_framer_are_told_of_one() -> None:
    harness = Harness(LSP())
    with pytest.raises(ValueError, match=r"this is no JSON.*: ContentLengthFramer\(\) \| LSP\(\)"):
        harness.receive(b"Content-Length: 2\r\n\r\n{}")
    assert b"Framer" not in harness.replies[0]


def test_the_answer_is_a_frame_like_others() -> None:
    harness = Harness(ContentLengthFramer() | LSP(invalid="answer"))
    assert [RPCNotification("a")] == harness.receive(framed(b"x", whole(b'"method":"a"')))
    (answer,) = harness.replies
    assert [-32700] == [message.code for message in Harness(chain()).receive(answer)]


def test_a_peer_may_be_answered_and_heard_further() -> None:
    stage = LSP(invalid="answer")
    harness = Harness(stage)
    for frame, *_ in WRONG:
        assert [] == harness.receive(frame)
    assert (len(WRONG), len(NO_JSON + NO_MESSAGE)) == (stage.refused, len(harness.replies))
    assert [RPCNotification("a")] == harness.receive(whole(b'"method":"a"'))


def test_the_answer_to_a_wrong_frame_is_no_reason_to_answer() -> None:
    one, other = Harness(LSP(invalid="answer")), Harness(LSP(invalid="answer"))
    one.receive(b"x")
    (answer,) = other.receive(*one.replies)
    assert isinstance(answer, RPCError)
    assert (None, -32700, []) == (answer.id, answer.code, other.replies)


# ---- out


@pytest.mark.parametrize(
    ("message", "kind", "says"),
    [
        ({"method": "a"}, TypeError, r"LSP sends messages, not dict: RPCRequest\('shutdown'\), RPCNotification"),
        (RPCRequest("a", 1), ValueError, r'LSP: "params" must be an object or an array \(in RPCRequest\)'),
        (RPCRequest("a", id=True), ValueError, '"id" must be a string or a whole number'),
        (RPCNotification(b"a"), ValueError, '"method" must be a string'),  # type: ignore[arg-type]
        (RPCResponse(None, 1), ValueError, '"id" must be'),  # type: ignore[arg-type]
        (RPCError(1, 1.5, "x"), ValueError, '"error" must have a "code"'),  # type: ignore[arg-type]
        (RPCResponse(1, b"x"), TypeError, "LSP: Object of type bytes is not JSON serializable"),
        (RPCResponse(1, math.inf), ValueError, "LSP: Out of range float values are not JSON compliant"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_nothing_else_happens(message: Any, kind: type, says: str) -> None:
    harness = Harness(LSP())
    with pytest.raises(kind, match=says):
        harness.send(message)
    assert [whole(b'"method":"b"')] == harness.send(RPCNotification("b"))


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value, says in ((circle, "Circular reference"), (deep, "nested too deeply")):
        with pytest.raises(ValueError, match=says):
            Harness(LSP()).send(RPCNotification("a", value))


async def test_halves_by_hand() -> None:
    stage = LSP()
    assert [RPCNotification("a")] == list(await stage.inbound.process(bytearray(whole(b'"method":"a"'))))
    assert () == stage.inbound.unread(())
    assert stage.inbound.unread([RPCNotification("a")]) is None
    assert isinstance(next(iter(await stage.inbound.process(b"x"))), Reply)
    with pytest.raises(TypeError, match="LSP takes bytes, not str"):
        list(await stage.inbound.process("x"))  # type: ignore[arg-type]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"LSP\(invalid='skip'\): must be one of 'error', 'answer'"):
        LSP(invalid="skip")  # type: ignore[arg-type]


def test_work_is_linear() -> None:
    frame = whole(b'"method":"a"')
    check_linear(LSP, lambda n: [frame] * n, n=256)
    check_linear(LSP, lambda n: [whole(b'"id":1,"result":"' + b"x" * n * 100 + b'"')], n=512)


# ---- two ends


async def serve(pipeline: Pipeline[RPCMessage, RPCMessage]) -> None:
    """Ask the client back before the answer, and push something behind it."""
    async for message in pipeline:
        match message:
            case RPCRequest("add", [int(a), int(b)]):
                await pipeline.send_many([RPCRequest("sure?", None, message.id), RPCNotification("working")])
                assert RPCResponse(message.id, "yes") == await pipeline.receive()
                await pipeline.send(message.response(a + b))
            case RPCRequest():
                await pipeline.send(message.error(-32601, "no such method"))
            case RPCNotification("exit"):
                return


@pytest.mark.parametrize("trickle", [None, 1])
async def test_both_ends_ask_over_one_connection_with_ids_of_their_own(trickle: int | None) -> None:
    options: dict[str, Any] = {} if trickle is None else {"trickle": trickle}
    async with pipeline_pair(chain(), chain(), **options) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        async with open_calls(client, LSP.reply_key, request_key=LSP.request_key) as calls:
            told: list[str] = []

            async def answer() -> None:
                async for event in calls.events:
                    match event:
                        case RPCRequest("sure?"):
                            await calls.notify(event.response("yes"))
                        case RPCNotification(method):
                            told.append(method)

            async with trio.open_nursery() as beside:
                beside.start_soon(answer)
                request = RPCRequest("add", [1, 2])
                assert RPCResponse(request.id, 3) == await calls.call(request)
                reply = await calls.call(RPCRequest("subtract"))
                assert isinstance(reply, RPCError)
                assert (-32601, "no such method") == (reply.code, reply.message)
                beside.cancel_scope.cancel()
            assert ["working"] == told
            with pytest.raises(ValueError, match="this request's key is None"):
                await calls.call(RPCNotification("exit"))
            await calls.notify(RPCNotification("exit"))


@pytest.mark.parametrize(
    ("wire", "error", "says"),
    [
        (framed(whole(b'"id":1,"error":{"code":-32002,"message":"no"}')), None, ""),
        (framed(whole(b'"id":1,"result":{}'))[:-5], trio.BrokenResourceError, "no reply came to this request"),
        (b"", trio.BrokenResourceError, "no reply came to this request"),
        (b"not a language server\r\n\r\n", trio.BrokenResourceError, "ContentLengthFramer: "),
        (
            None,
            trio.BrokenResourceError,
            "no reply came to this request: .*nothing has come from the peer for 30 seconds",
        ),
    ],
    ids=["refused", "cut", "ended", "another program", "slow"],
)
async def test_an_initialize_that_comes_to_nothing_is_an_error_and_the_transport_is_closed(
    wire: bytes | None, error: type[Exception] | None, says: str
) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    if wire is not None:
        await peer.send_all(wire)
        await peer.send_eof()

    async def initialize() -> None:
        async with (
            Pipeline[Any, Any](ours, IdleTimeout(30) | chain()) as pipeline,
            open_calls(pipeline, LSP.reply_key, request_key=LSP.request_key) as calls,
        ):
            assert RPCError(1, -32002, "no") == await calls.call(RPCRequest("initialize", {}, 1))

    if error is None:
        await initialize()
    else:
        with pytest.raises(error, match=says):
            await initialize()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
