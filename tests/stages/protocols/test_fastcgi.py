"""FastCGI, the application's side: canned records in, events out, and the reverse."""

from __future__ import annotations

import random
import re
import sys
from contextlib import suppress
from typing import Any

import fcgiproto
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import END, NEED_INPUT, Engine
from pipeline.testing import Harness, check_limit, check_linear
from stages import FastCGI, FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGILog
from tests.stages.framing.driving import random_pieces
from tests.stages.protocols.fastcgi_peer import (
    AUTHORIZER,
    FILTER,
    begin,
    ended,
    params,
    record,
    records,
    request,
    stdin,
    told,
)

HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
ALL = (1, 2, 3)


def headers(request_id: int = 1) -> FastCGIHeaders:
    return FastCGIHeaders(request_id, [("Content-Type", "text/plain")])


def written(harness: Harness, *items: Any) -> list[tuple[Any, ...]]:
    """The records that items become."""
    return records(b"".join(harness.send(*items)))


def replied(harness: Harness) -> list[tuple[Any, ...]]:
    return records(b"".join(harness.replies))


# ---- requests

WHOLE = [
    (request(), [("Begin", 1, {}), ("Data", 1, b"")]),
    (request(7, b"body", A="1"), [("Begin", 7, {"A": "1"}), ("Data", 7, b"body"), ("Data", 7, b"")]),
    (
        begin() + begin(2) + params(2) + params() + stdin(b"two", b"", request_id=2) + stdin(b"one", b""),
        [
            ("Begin", 2, {}),
            ("Begin", 1, {}),
            ("Data", 2, b"two"),
            ("Data", 2, b""),
            ("Data", 1, b"one"),
            ("Data", 1, b""),
        ],
    ),
    (begin() + params() + stdin(b"x") + record(2, 1), [("Begin", 1, {}), ("Data", 1, b"x"), ("Abort", 1, None)]),
    (begin(role=AUTHORIZER) + params(A="1") + stdin(b""), [("Begin", 1, {"A": "1"})]),
    (
        begin(role=FILTER) + params() + stdin(b"x", b"") + record(8, 1, b"file") + record(8, 1),
        [
            ("Begin", 1, {}),
            ("Data", 1, b"x"),
            ("Data", 1, b""),
            ("SecondaryData", 1, b"file"),
            ("SecondaryData", 1, b""),
        ],
    ),
]


@pytest.mark.parametrize(("wire", "events"), WHOLE, ids=range(len(WHOLE)))
def test_requests_come_out_however_they_are_cut(wire: bytes, events: list[Any]) -> None:
    """At every place, and byte by byte."""
    ways = [[wire[:cut], wire[cut:]] for cut in range(1, len(wire))]
    for pieces in [[wire], [wire[at : at + 1] for at in range(len(wire))], *ways]:
        harness = Harness(FastCGI(roles=ALL))
        assert events == told(harness.receive(*pieces))
        assert 0 == harness.finish().__len__()


def test_a_request_tells_its_role_and_whether_the_connection_is_kept() -> None:
    for keep in (True, False):
        (event,) = Harness(FastCGI()).receive(begin(keep=keep) + params())
        assert (fcgiproto.FCGI_RESPONDER, keep) == (event.role, bool(event.keep_connection))


def test_parameters_may_be_long_empty_and_no_utf8() -> None:
    """A name or a value of more than 127 bytes has a length of four; what is no UTF-8 comes as from `os.fsdecode`."""
    content = (
        b"\x04\x03PATH\xff/x" + b"\x05\x00EMPTY" + b"\x00\x00" + b"\x80\0\0\xc8\x80\0\1\0" + b"N" * 200 + b"V" * 256
    )
    harness = Harness(FastCGI())
    (event,) = harness.receive(begin() + record(4, 1, content[:30]) + record(4, 1, content[30:]) + record(4, 1))
    assert {"PATH": "\udcff/x", "EMPTY": "", "": "", "N" * 200: "V" * 256} == event.params


def test_a_record_is_held_until_it_is_whole() -> None:
    stage = FastCGI()
    harness = Harness(stage)
    harness.receive(begin()[:5])
    held = stage.inbound.holds
    harness.receive(begin()[5:])
    assert (5, 0) == (held, stage.inbound.holds)


# ---- responses


def test_a_response_is_headers_data_and_the_end() -> None:
    harness = Harness(FastCGI())
    harness.receive(request())
    items = [headers(), FastCGIData(1, b"hello"), FastCGIData(1, bytearray(b" world")), FastCGIEnd(1, app_status=3)]
    assert [("Stdout", 1, HEAD), ("Stdout", 1, b"hello"), ("Stdout", 1, b" world"), *ended(app_status=3)] == written(
        harness, *items
    )


@pytest.mark.parametrize("item", [("X", "a\r\nSet-Cookie: b"), ("X\n", "a"), (b"X", b"a\0")])
def test_headers_that_would_be_two_are_refused(item: Any) -> None:
    """Nothing is written, and a right one can be sent."""
    harness = Harness(FastCGI())
    harness.receive(request())
    with pytest.raises(ValueError, match="a header with a line break or a zero byte"):
        harness.send(FastCGIHeaders(1, [item]))
    assert [("Stdout", 1, HEAD)] == written(harness, headers())


@pytest.mark.parametrize("kind", [FastCGIData, FastCGILog])
@pytest.mark.parametrize("size", [0, 1, 65528, 65529, 200_000])
def test_data_of_any_size_can_be_sent(kind: Any, size: int) -> None:
    """In as many records as it takes; none is no end."""
    harness = Harness(FastCGI())
    harness.receive(request())
    data = random.Random(size).randbytes(size)
    sent = written(harness, kind(1, data))
    assert data == b"".join(content for _, _, content in sent)
    assert {"Stdout" if kind is FastCGIData else "Stderr"} >= {name for name, _, _ in sent}
    assert 1 >= len(harness.sent)


def test_a_response_may_begin_and_end_before_the_body_is_there() -> None:
    """What still comes of it is nobody's; then the number may be used again."""
    harness = Harness(FastCGI())
    harness.receive(begin() + params() + stdin(b"one"))
    assert [("Stdout", 1, HEAD), *ended()] == written(harness, headers(), FastCGIEnd(1))
    late = stdin(b"two", b"") + record(4, 1) + record(8, 1, b"x") + record(2, 1)
    assert [("Begin", 1, {"A": "2"}), ("Data", 1, b"")] == told(harness.receive(late + request(A="2")))
    assert ended() == written(harness, FastCGIEnd(1))


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([FastCGIEnd(2)], "request 2 is over, or was never there"),
        ([headers(3)], "request 3 is over, or was never there"),
        ([FastCGIEnd(1), FastCGIEnd(1)], "request 1 is over, or was never there"),
        ([headers(), headers()], "headers of request 1 behind its headers or its data"),
        ([FastCGIData(1, b""), headers()], "headers of request 1 behind its headers or its data"),
    ],
)
def test_what_cannot_be_sent_now_is_refused(items: list[Any], match: str) -> None:
    """Others go on."""
    harness = Harness(FastCGI())
    harness.receive(request() + begin(3) + request(4))
    with pytest.raises(fcgiproto.ProtocolError, match=match):
        harness.send(*items)
    assert ended(4) == written(harness, FastCGIEnd(4))


@pytest.mark.parametrize(
    "item",
    [b"data", FastCGIData(1, "text"), FastCGIEnd(1, -1), FastCGIEnd(1, 1 << 32), FastCGIEnd(1, 1.5)],  # type: ignore[arg-type]
)
def test_what_is_no_item_is_refused(item: Any) -> None:
    harness = Harness(FastCGI())
    harness.receive(request())
    with pytest.raises((TypeError, ValueError), match="FastCGI"):
        harness.send(item)
    assert ended() == written(harness, FastCGIEnd(1))


# ---- the connection


def started_engine(wire: bytes, **options: Any) -> Engine[Any, Any]:
    engine: Engine[Any, Any] = Engine(FastCGI(**options), byte_wire=True)
    engine.start()
    engine.feed(wire)
    return engine


def sent_by(engine: Engine[Any, Any], item: Any) -> list[tuple[Any, ...]]:
    engine.send(item)
    return to_write(engine)


def to_write(engine: Engine[Any, Any]) -> list[tuple[Any, ...]]:
    data = b""
    while written := engine.to_write():
        assert isinstance(written, list)
        data += b"".join(written)
    return records(data)


@pytest.mark.parametrize("keep", [False, True])
def test_a_connection_that_is_not_kept_ends_behind_the_response(keep: bool) -> None:
    """Both ways; one that is kept does not."""
    engine = started_engine(request(keep=keep))
    assert [("Begin", 1, {}), ("Data", 1, b"")] == told([engine.next_item(), engine.next_item()])
    assert ended() == sent_by(engine, FastCGIEnd(1))
    assert [NEED_INPUT if keep else END, not keep] == [engine.next_item(), engine.outbound_ended]


def test_a_connection_that_is_not_kept_waits_for_its_other_requests() -> None:
    engine = started_engine(request(1, keep=False) + request(2))
    for _ in range(4):
        engine.next_item()
    assert ended(1) == sent_by(engine, FastCGIEnd(1))
    assert [NEED_INPUT, False] == [engine.next_item(), engine.outbound_ended]
    assert ended(2) == sent_by(engine, FastCGIEnd(2))
    assert [END, True] == [engine.next_item(), engine.outbound_ended]


def test_an_aborted_request_is_over() -> None:
    """The web server gets the end that it waits for; one that was not shown is not aborted either."""
    harness = Harness(FastCGI())
    assert [("Begin", 1, {}), ("Abort", 1, None)] == told(harness.receive(begin() + params() + record(2, 1)))
    assert [] == harness.receive(begin(2) + record(2, 2) + record(2, 3))
    assert [*ended(1), *ended(2)] == replied(harness)
    with pytest.raises(fcgiproto.ProtocolError, match="request 1 is over"):
        harness.send(headers())


def test_the_end_of_the_stream_aborts_what_has_not_come() -> None:
    """A whole request can be answered still."""
    harness = Harness(FastCGI())
    harness.receive(begin(1) + params(1) + begin(2) + request(3))
    assert [("Abort", 1, None)] == told(harness.finish())
    assert [] == harness.replies
    assert ended(3) == written(harness, FastCGIEnd(3))


def test_a_stream_that_ends_inside_a_record_is_cut_off() -> None:
    harness = Harness(FastCGI())
    harness.receive(begin() + params() + stdin(b"hello")[:-1])
    with pytest.raises(fcgiproto.ProtocolError, match="ended inside a record, of which 12 bytes are there"):
        harness.finish()
    assert [("Begin", 1, {}), ("Abort", 1, None)] == told(harness.received)


def test_a_direction_that_ends_inside_a_response_is_an_error() -> None:
    """One that has not begun is none that looks whole."""
    for items in ([], [headers()]):
        harness = Harness(FastCGI())
        harness.receive(request())
        harness.send(*items)
        if not items:
            assert [] == harness.send_eof()
            continue
        with pytest.raises(fcgiproto.ProtocolError, match="inside the response to request 1: send FastCGIEnd"):
            harness.send_eof()


def given_up(stage: FastCGI) -> Any:
    """What gives request 1 up, for `open_streams` to send."""
    assert stage.stream_rules.reset is not None
    return stage.stream_rules.reset(1, None)


@pytest.mark.parametrize("begun", [False, True])
def test_a_response_that_is_given_up_does_not_look_whole(begun: bool) -> None:
    """One that has not begun ends with a status; of one that has, the connection ends without its end."""
    stage = FastCGI()
    engine: Engine[Any, Any] = Engine(stage, byte_wire=True)
    engine.start()
    engine.feed(request())
    assert 2 == len([engine.next_item(), engine.next_item()])
    if begun:
        assert [("Stdout", 1, HEAD)] == sent_by(engine, headers())
    assert ([] if begun else ended(app_status=1)) == sent_by(engine, given_up(stage))
    assert [END if begun else NEED_INPUT, begun] == [engine.next_item(), engine.outbound_ended]


def test_giving_up_what_is_over_has_no_effect() -> None:
    """Also when its number is that of another one by now."""
    stage = FastCGI()
    harness = Harness(stage)
    harness.receive(request())
    item = given_up(stage)
    harness.send(FastCGIEnd(1))
    assert given_up(stage) is None
    assert [] == harness.send(item)
    harness.receive(request())
    assert [] == harness.send(item)
    assert ended() == written(harness, FastCGIEnd(1))


def test_management_records_are_answered() -> None:
    """What is known, once each; of unknown types that they are unknown."""
    harness = Harness(FastCGI(max_requests=7))
    names = b"\x0f\0FCGI_MPXS_CONNS\x0e\0FCGI_MAX_CONNS\x0d\0FCGI_MAX_REQS" * 500
    assert [] == harness.receive(record(9, 0, names), record(9, 0), record(200, 0, b"what"))
    values = [("FCGI_MAX_REQS", "7"), ("FCGI_MPXS_CONNS", "1")]
    assert [("GetValuesResult", 0, values), ("GetValuesResult", 0, []), ("UnknownType", 0, 200)] == replied(harness)


# ---- what is done between two events of one read


def test_what_came_of_a_request_that_was_ended_meanwhile_is_passed_over() -> None:
    engine = started_engine(request(1, b"body") + request(2))
    assert [("Begin", 1, {})] == told([engine.next_item()])
    assert ended() == sent_by(engine, FastCGIEnd(1))
    assert [("Begin", 2, {}), ("Data", 2, b"")] == told([engine.next_item(), engine.next_item()])
    assert NEED_INPUT is engine.next_item()


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_what_was_ended_meanwhile_is_passed_over_where_something_is_replied_too(first: bool) -> None:
    asked = record(9, 0)
    engine = started_engine(asked * first + request(1, b"body") + asked * (not first) + request(2))
    assert [("Begin", 1, {})] == told([engine.next_item()])
    assert [("GetValuesResult", 0, [])] * first + ended() == sent_by(engine, FastCGIEnd(1))
    assert [("Begin", 2, {}), ("Data", 2, b"")] == told([engine.next_item(), engine.next_item()])


@pytest.mark.parametrize(
    "late", [stdin(b"x"), record(2, 1), request(1)[:16] + record(2, 1)], ids=["data", "abort", "new"]
)
def test_what_would_be_wrong_of_an_open_request_is_right_when_it_is_over(late: bytes) -> None:
    """As the web server sent it before it read the answer; nothing of it is looked at."""
    for answered in (True, False):
        engine = started_engine(request() + late)
        assert [("Begin", 1, {}), ("Data", 1, b"")] == told([engine.next_item(), engine.next_item()])
        if answered:
            sent_by(engine, FastCGIEnd(1))
            assert NEED_INPUT is engine.next_item()
        elif late == record(2, 1):
            assert [("Abort", 1, None)] == told([engine.next_item()])
        else:
            with pytest.raises(fcgiproto.ProtocolError, match="request 1"):
                engine.next_item()


def test_no_more_requests_are_open_than_the_client_left_open() -> None:
    """However many came in one read."""
    engine = started_engine(b"".join([request(number) for number in range(1, 50)]), max_requests=2)
    for number in range(1, 50):
        assert [("Begin", number, {}), ("Data", number, b"")] == told([engine.next_item(), engine.next_item()])
        assert ended(number) == sent_by(engine, FastCGIEnd(number))
    assert NEED_INPUT is engine.next_item()


def test_many_events_of_one_read_are_not_made_at_once() -> None:
    stage = FastCGI()
    engine: Engine[Any, Any] = Engine(stage, byte_wire=True)
    engine.start()
    engine.feed(begin() + params() + stdin(b"x") * 200)
    engine.next_item()
    assert 100 * 9 < stage.inbound.holds < 150 * 9
    assert [("Data", 1, b"x")] * 200 == told([engine.next_item() for _ in range(200)])


SINGLE = [request(1, b"body"), request(3, role=FILTER), record(2, 1), record(9, 0), record(200, 0)]
PARTS = st.sampled_from(
    [
        *(part(number) for number in (1, 2) for part in (request, request, begin, params)),
        *(stdin(data, request_id=number) for number in (1, 2) for data in (b"x", b"")),
        *SINGLE,
    ]
)


@given(
    st.lists(PARTS, max_size=8),
    st.sampled_from([b"", request(3, keep=False)]),
    st.sets(st.sampled_from(["Begin", "Data", "end"])),
)
def test_what_happens_does_not_depend_on_how_it_was_cut(parts: list[bytes], last: bytes, answered_at: set[str]) -> None:
    """Byte by byte or at once, whenever the client ends its requests."""
    wire = b"".join(parts) + last
    assert lived([wire], answered_at) == lived([wire[at : at + 1] for at in range(len(wire))], answered_at)


def lived(pieces: list[bytes], answered_at: set[str]) -> tuple[list[Any], list[Any], str]:
    """What was said, written (a reply may come earlier) and wrong, where the client ends requests at such events."""
    engine, events, wrote, error = started_engine(b"", max_requests=2), [], [], ""
    try:
        for piece in pieces:
            engine.feed(piece)
            while (item := engine.next_item()) is not NEED_INPUT and item is not END:
                event = told([item])[0]
                events.append(event)
                if ("end" if event == ("Data", event[1], b"") else event[0]) in answered_at:
                    with suppress(fcgiproto.ProtocolError):
                        wrote += sent_by(engine, FastCGIEnd(event[1]))
    except fcgiproto.ProtocolError as raised:
        error = str(raised)
    return events, sorted(wrote + to_write(engine)), error


# ---- what is wrong

WRONG = [
    (b"\2\1\0\1\0\0\0\0", "a record of version 2; there is only 1"),
    (record(1, 1, b"\0\1"), "BEGIN_REQUEST has 2 bytes, not 8"),
    (begin() + begin(), "request 1 begins, but is open already"),
    (record(1, 0, bytes(8)), "a record of type 1 for request 0"),
    (record(11, 0, bytes(8)), "a record of type 11 for request 0"),
    (record(9, 1), "a record of type 9 for request 1"),
    (record(6, 1), "a record of type 6 for request 1"),
    (record(200, 1), "a record of type 200 for request 1"),
    (begin() + stdin(b"x"), "data of request 1 before its parameters"),
    (request() + stdin(b"x"), "or behind the end of its data"),
    (request() + record(4, 1), "more parameters of request 1 behind their end"),
    (request() + record(8, 1, b"x"), "secondary data of request 1, which has none now"),
    (begin(role=FILTER) + params() + record(8, 1, b"x"), "secondary data of request 1"),
    (begin(role=FILTER) + params() + stdin(b"") + record(8, 1) + record(8, 1), "secondary data of request 1"),
    (begin() + record(4, 1, b"\x01\x05Aval") + record(4, 1), "a name and its value of 6 bytes, of which 4 are there"),
    (begin() + record(4, 1, b"\x01") + record(4, 1), "names and values end inside a length"),
    (begin() + record(4, 1, b"\x81\0\0") + record(4, 1), "names and values end inside a length"),
    (begin() + record(4, 1, b"\xff\xff\xff\xff\0") + record(4, 1), "a name and its value of 2147483647 bytes"),
    (record(9, 0, b"\x05"), "names and values end inside a length"),
]


@pytest.mark.parametrize(("wire", "match"), WRONG, ids=[match for _, match in WRONG])
def test_what_is_wrong_is_an_error_behind_what_was_right(wire: bytes, match: str) -> None:
    """However it is cut; nothing more is read."""
    before = request(9)
    for cut in range(1, len(wire)):
        harness = Harness(FastCGI(roles=ALL))
        assert 2 == len(harness.receive(before))
        with pytest.raises(fcgiproto.ProtocolError, match=f"^FastCGI protocol violation: .*{re.escape(match)}"):
            harness.receive(wire[:cut], wire[cut:])
        assert ended(9) == written(harness, FastCGIEnd(9))


def test_a_role_that_is_not_offered_is_refused() -> None:
    """Nothing of it is shown; and the connection ends if it was for this only."""
    harness = Harness(FastCGI())
    wire = begin(1, role=FILTER) + params(1) + stdin(b"", request_id=1) + begin(2, role=77) + request(3)
    assert [("Begin", 3, {}), ("Data", 3, b"")] == told(harness.receive(wire))
    assert [*ended(1, 0, 3), *ended(2, 0, 3)] == replied(harness)
    assert END is started_engine(begin(role=FILTER, keep=False)).next_item()


def test_more_requests_than_allowed_are_refused() -> None:
    """Until others are over."""
    harness = Harness(FastCGI(max_requests=2))
    assert 4 == len(harness.receive(request(1) + request(2) + request(3)))
    assert ended(3, 0, 2) == replied(harness)
    harness.send(FastCGIEnd(1))
    assert [("Begin", 3, {}), ("Data", 3, b"")] == told(harness.receive(request(3)))


def test_the_limit_of_parameters_is_exact_however_they_are_cut() -> None:
    """With all they have, as they come."""
    check_limit(
        lambda n: FastCGI(max_params_bytes=n),
        lambda n: begin() + record(4, 1, b"\x01" + bytes((n - 3,)) + b"A" + b"v" * (n - 3)) + record(4, 1),
        certain=lambda n: 24,
        limits=(10, 50),
        random_cuts=20,
        errors=fcgiproto.ProtocolError,
    )
    with pytest.raises(fcgiproto.ProtocolError, match="have 20 bytes or more, over the limit, max_params_bytes=19"):
        Harness(FastCGI(max_params_bytes=19)).receive(begin() + record(4, 1, b"x" * 20))


@given(st.binary(max_size=100), st.lists(st.integers(0, 12), max_size=8))
def test_no_bytes_of_a_peer_do_anything_else(data: bytes, kinds: list[int]) -> None:
    """Whole records of any kind with anything in them, and mere noise."""
    wire = b"".join(record(kind, index % 3, data[index:]) for index, kind in enumerate(kinds)) + data
    for start in (b"", begin(1) + params(1) + begin(2)):
        harness = Harness(FastCGI(roles=ALL))
        with suppress(fcgiproto.ProtocolError):
            harness.receive(start + wire)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"roles": ()}, ValueError),
        ({"roles": (4,)}, ValueError),
        ({"max_requests": 0}, ValueError),
        ({"max_params_bytes": 1.5}, TypeError),
    ],
)
def test_wrong_arguments_are_refused(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"FastCGI\("):
        FastCGI(**options)


def test_without_fcgiproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcgiproto", None)
    with pytest.raises(ImportError, match=r"FastCGI needs fcgiproto: pip install 'penstock\[fcgiproto\]'"):
        FastCGI()


# ---- much of it


def test_work_is_linear() -> None:
    check_linear(FastCGI, lambda n: [begin() + params() + stdin(b"x") * n], n=1000)
    check_linear(FastCGI, lambda n: [begin() + params(), b"\1\5\0\1\xff\xff\0\0", *[b"x"] * n], n=2000)
    many = [begin(), record(4, 1, b"\1\1Av")]
    check_linear(lambda: FastCGI(max_params_bytes=1 << 30), lambda n: [many[0] + many[1] * n + record(4, 1)], n=1000)


@pytest.mark.parametrize("seed", range(5))
def test_many_mixed_requests_come_whole(seed: int) -> None:
    """Each answered with its own body, on one connection, however all of it is cut."""
    rng = random.Random(seed)
    harness, bodies, answers = Harness(FastCGI()), {}, b""
    todo = {}
    for request_id in range(1, 40):
        bodies[request_id] = [rng.randbytes(rng.randrange(1, 2000)) for _ in range(rng.randrange(4))]
        head = [begin(request_id), params(request_id, N=str(request_id))]
        todo[request_id] = [*head, *(stdin(piece, request_id=request_id) for piece in (*bodies[request_id], b""))]
    wire = b""
    while todo:
        request_id = rng.choice(list(todo))
        wire += todo[request_id].pop(0)
        if not todo[request_id]:
            del todo[request_id]
    got: dict[int, bytes] = {}
    for piece in random_pieces(rng, wire):
        for kind, request_id, carried in told(harness.receive(piece)):
            if kind == "Begin":
                assert {"N": str(request_id)} == carried
                got[request_id] = b""
            elif carried:
                got[request_id] += carried
            else:
                answers += b"".join(harness.send(FastCGIData(request_id, got[request_id]), FastCGIEnd(request_id)))
    assert {key: b"".join(pieces) for key, pieces in bodies.items()} == got
    said = dict.fromkeys(bodies, b"")
    for kind, request_id, *content in records(answers):
        said[request_id] += content[0] if kind == "Stdout" else b""
    assert got == said
