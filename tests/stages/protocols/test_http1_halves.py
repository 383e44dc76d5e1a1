"""The straight ways of `HTTP1`: they say and note what the adapter's would, wherever the bytes are cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import h11
import pytest

from pipeline import END, Reply, Stage
from stages import HTTP1

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"1\r\nx\r\n" * 100 + b"0\r\n\r\n"
EXPECTS = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"
LONG = b"GET / HTTP/1.1\r\nHost: " + b"a" * 100 + b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CLOSES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"

REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "a")])
RESPONSE = h11.Response(status_code=200, headers=[("Content-Length", "2")])
DATA, END_OF_MESSAGE = h11.Data(data=b"hi"), h11.EndOfMessage()
VIEW: Any = memoryview(b"hi")
EARLY = [h11.Response(status_code=413, headers=[("Content-Length", "0")]), END_OF_MESSAGE]


def made(role: Literal["client", "server"]) -> HTTP1:
    return HTTP1(role, max_header_bytes=100)


def outcome(call: Callable[..., Iterable[Any]], *args: Any) -> list[Any]:
    """All that comes of a call, an error as what it says; nothing of how bodies are cut."""
    found: list[Any] = []
    try:
        for each in call(*args):
            if type(each) is h11.Data and found and type(found[-1]) is h11.Data:
                found[-1] = h11.Data(data=bytes(found[-1].data) + bytes(each.data))
            else:
                found.append(each)
    except Exception as error:
        found.append((type(error), str(error)))
    return found


def standing(stage: HTTP1) -> tuple[bool, ...]:
    half = stage.inbound
    return half.wants_input, half.has_more, half.ready, stage.sending_ended


@pytest.mark.parametrize(
    "wire",
    [
        GET,
        GET + GET,
        LAST + b"x",
        POST,
        POST + GET,
        CHUNKED + CHUNKS,
        EXPECTS,
        EXPECTS + b"abc",
        UPGRADE,
        UPGRADE + b"x",
        *[LONG, GET + LONG, POST[:-3] + b"abc" * 200, CHUNKED + b"1" * 200, CHUNKED + b"z\r\n", b"\0\r\n\r\n"],
        *[CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + CHUNKS, POST[:-3] + b"x" * 90],
    ],
)
@pytest.mark.parametrize("answered", [False, True], ids=["", "answered"])
def test_the_straight_way_in_is_that_of_the_adapter(wire: bytes, answered: bool) -> None:
    """The adapter goes its own where the bytes are of another type."""
    for at in {*range(0, len(wire), max(1, len(wire) // 40)), len(wire)}:
        straight, adapted = made("server"), made("server")
        for piece in filter(None, (wire[:at], wire[at:])):
            expected = outcome(adapted.inbound.process_sync, bytearray(piece))
            assert expected == outcome(straight.inbound.process_sync, piece)
            for event in EARLY if answered and standing(adapted)[0] else []:
                sent = outcome(adapted.outbound.process_sync, event)
                assert sent == outcome(straight.outbound.process_sync, event)
            assert standing(adapted) == standing(straight)
            assert adapted.holds == straight.holds
            assert outcome(adapted.inbound.poll) == outcome(straight.inbound.poll)
            if not standing(straight)[0]:
                break
        assert standing(adapted) == standing(straight)


@pytest.mark.parametrize("wire", [OK, OK + b"x", CLOSES, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 \0\r\n\r\n"])
def test_a_client_is_told_the_same_either_way(wire: bytes) -> None:
    for at in range(len(wire)):
        straight, adapted = made("client"), made("client")
        for stage in (straight, adapted):
            for event in (REQUEST, END_OF_MESSAGE):
                list(stage.outbound.process_sync(event))
            assert (True, False, False, False) == standing(stage)
        for piece in filter(None, (wire[:at], wire[at:])):
            expected = outcome(adapted.inbound.process_sync, bytearray(piece))
            assert expected == outcome(straight.inbound.process_sync, piece)
            assert standing(adapted) == standing(straight)
        assert outcome(adapted.inbound.poll) == outcome(straight.inbound.poll)


@pytest.mark.parametrize(
    "events",
    [
        [RESPONSE, DATA, END_OF_MESSAGE],
        [h11.Response(status_code=299, headers=[]), DATA, h11.Data(data=b""), END_OF_MESSAGE],
        [h11.Response(status_code=200, headers=[("Connection", "close")], reason=b"Fine"), DATA, END_OF_MESSAGE],
        [h11.InformationalResponse(status_code=103, headers=[]), RESPONSE, h11.Data(data=VIEW)],
        [h11.Response(status_code=204, headers=[], reason=b"\n"), RESPONSE],
        [DATA, RESPONSE],
        ["text", RESPONSE],
    ],
)
def test_what_is_sent_becomes_the_same_either_way(events: list[Any]) -> None:
    straight, adapted = made("server"), made("server")
    for stage in (straight, adapted):
        list(stage.inbound.process_sync(GET))
    for event in events:
        expected = [each for each in outcome(lambda event: [adapted.send_event(event)], event) if each]
        assert expected == [each for each in outcome(straight.outbound.process_sync, event) if each is not END]
        assert standing(adapted) == standing(straight)


def test_by_far_the_most_goes_the_straight_way() -> None:
    """A list of one write each, as the pipeline likes it best, and nothing to be asked afterwards."""
    stage = made("server")
    for _ in range(3):
        results = stage.inbound.process_sync(GET)
        assert isinstance(results, list)
        assert ["Request", "EndOfMessage"] == [type(each).__name__ for each in results]
        assert (True, False, True, False) == standing(stage)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        assert [[head], [b"hi"], ()] == [stage.outbound.process_sync(each) for each in (RESPONSE, DATA, END_OF_MESSAGE)]
        assert (True, False, True, False) == standing(stage)


def test_the_end_of_the_last_response_is_that_of_the_direction() -> None:
    stage = made("server")
    assert [END] == list(stage.inbound.process_sync(LAST))[2:]
    list(stage.outbound.process_sync(RESPONSE))
    list(stage.outbound.process_sync(DATA))
    assert [END] == list(stage.outbound.process_sync(END_OF_MESSAGE))
    assert stage.sending_ended


def test_an_error_that_is_h11s_own_leaves_the_same_either_way() -> None:
    """It has no answer to a server that answered before it was asked."""
    straight, adapted = made("server"), made("server")
    for stage in (straight, adapted):
        for event in (RESPONSE, DATA, END_OF_MESSAGE):
            list(stage.outbound.process_sync(event))
    expected = outcome(adapted.inbound.process_sync, bytearray(GET))
    assert expected == outcome(straight.inbound.process_sync, GET)
    assert standing(adapted) == standing(straight)
    assert straight.sending_ended


async def test_nothing_can_be_fed_behind_the_end() -> None:
    stage = made("server")
    assert [Reply(END)] == list(await stage.inbound.finish())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="received close, then received more"):
            list(stage.inbound.process_sync(GET))
    assert () == stage.inbound.poll()


def test_a_client_may_send_when_the_cycle_is_over() -> None:
    stage = made("client")
    for _ in range(2):
        assert stage.inbound.ready
        assert b"GET / HTTP/1.1" in b"".join(stage.outbound.process_sync(REQUEST))  # type: ignore[arg-type]
        assert [] == list(stage.outbound.process_sync(END_OF_MESSAGE))
        assert not stage.inbound.ready
        assert isinstance(stage.inbound.process_sync(OK), list)


def test_a_client_whose_answer_was_early_is_free_with_its_own_end() -> None:
    stage = made("client")
    list(
        stage.outbound.process_sync(
            h11.Request(method="PUT", target="/", headers=[("Host", "a"), ("Content-Length", "0")])
        )
    )
    list(stage.inbound.process_sync(OK))
    assert [] == list(stage.outbound.process_sync(END_OF_MESSAGE))
    assert stage.inbound.ready


def test_a_server_is_waited_for_by_no_send() -> None:
    """Nothing says that it ever is not ready, and so it is never asked."""
    own = itertools.takewhile(lambda base: base is not Stage, type(made("server").inbound).__mro__)
    assert not any("ready" in vars(base) for base in own)


def test_the_body_is_asked_for_behind_the_request() -> None:
    *events, asked = made("server").inbound.process_sync(EXPECTS)
    assert ["Request"] == [type(each).__name__ for each in events]
    assert Reply(b"HTTP/1.1 100 Continue\r\n\r\n") == asked


def test_many_messages_one_after_the_other() -> None:
    stage = made("server")
    wire = [GET, POST, CHUNKED, CHUNKS] * 20
    count = 0
    for piece in wire:
        for event in stage.inbound.process_sync(piece):
            if type(event) is h11.EndOfMessage:
                count += 1
                for each in (RESPONSE, DATA, END_OF_MESSAGE):
                    list(stage.outbound.process_sync(each))
    assert 60 == count
