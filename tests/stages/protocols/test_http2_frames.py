"""What `HTTP2` lets in, before h2 sees it; the limits as a whole are in `test_http2.py`."""

from __future__ import annotations

from typing import Any

import h2.exceptions
import pytest

from stages.protocols._http2_frames import Frames
from tests.stages.protocols.http2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    client_bytes,
    frame,
    window_update,
)

FIRST = frame(SETTINGS)


class Clock:
    """Seconds that the test sets."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


def frames(clock: Clock | None = None, **options: Any) -> Frames:
    limits = {"max_header_bytes": 100, "max_resets": 2, "max_control_frames": 3, "server": False, **options}
    return Frames(h2.exceptions, now=clock or Clock(), **limits)


def read(reader: Frames, *pieces: bytes) -> list[bytes]:
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (each := reader.next_frame()) is not None:
            found.append(bytes(each))
    return found


def test_bytes_are_cut_into_frames_wherever_they_were_cut() -> None:
    wanted = [FIRST, frame(DATA, b"x" * 300, 0, 1), frame(HEADERS, b"", END_HEADERS, 3), frame(GOAWAY, bytes(8))]
    wire = b"".join(wanted)
    for at in range(len(wire)):
        assert wanted == read(frames(), wire[:at], wire[at:])
    assert wanted == read(frames(), *[wire[at : at + 1] for at in range(len(wire))])


def test_a_server_gives_the_preface_on_as_it_comes() -> None:
    """H2 looks at it."""
    wire = client_bytes()
    for at in range(len(wire)):
        assert wire == b"".join(read(frames(server=True), wire[:at], wire[at:]))
    assert [PREFACE, FIRST] == read(frames(server=True), wire)


def test_what_was_not_given_is_held_and_can_be_taken_out() -> None:
    reader = frames()
    reader.feed(FIRST + b"\0\0\5")
    assert 12 == reader.held
    reader.next_frame()
    assert 3 == reader.held
    assert b"\0\0\5" == reader.take_rest()
    assert 0 == reader.held


def test_a_block_of_headers_that_is_not_whole_is_held() -> None:
    """H2 has it; a `FrameTimeout` is to know of it."""
    reader = frames()
    read(reader, FIRST, frame(HEADERS, bytes(20), 0, 1))
    assert 20 == reader.held
    read(reader, frame(CONTINUATION, bytes(5), 0, 1))
    assert 25 == reader.held
    read(reader, frame(CONTINUATION, bytes(5), END_HEADERS, 1))
    assert 0 == reader.held
    read(reader, frame(HEADERS, bytes(20), END_HEADERS, 1))
    assert 0 == reader.held


def test_goaway_is_marked() -> None:
    reader = frames()
    read(reader, FIRST)
    assert not reader.is_goaway
    read(reader, frame(GOAWAY, bytes(8)))
    assert reader.is_goaway


def test_what_does_not_begin_with_settings_is_not_http_2() -> None:
    with pytest.raises(h2.exceptions.ProtocolError, match=r"does not speak HTTP/2, it began with b'HTTP/1.1 400 Bad"):
        read(frames(), b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_frame_that_is_too_long_is_refused_from_its_head_alone() -> None:
    with pytest.raises(h2.exceptions.FrameTooLargeError, match=r"a frame of 16385 bytes is over the limit, 16384"):
        read(frames(), FIRST, frame(DATA, bytes(16385), 0, 1)[:9])
    assert 2 == len(read(frames(), FIRST, frame(DATA, bytes(16384), 0, 1)))


def test_a_block_of_headers_is_bounded_with_its_continuations() -> None:
    head, more = frame(HEADERS, bytes(60), 0, 1), frame(CONTINUATION, bytes(40), 0, 1)
    assert 3 == len(read(frames(), FIRST, head, more))
    with pytest.raises(h2.exceptions.DenialOfServiceError, match=r"of 101 bytes or more .* max_header_bytes=100"):
        read(frames(), FIRST, head, more, frame(CONTINUATION, b"1", 0, 1)[:9])
    with pytest.raises(h2.exceptions.DenialOfServiceError, match=r"headers of 101 bytes or more"):
        read(frames(), FIRST, frame(HEADERS, bytes(101), END_HEADERS, 1)[:9])


def test_continuations_are_counted() -> None:
    empty = frame(CONTINUATION, b"", 0, 1)
    assert 34 == len(read(frames(), FIRST, frame(HEADERS, b"", 0, 1), *[empty] * 32))
    with pytest.raises(h2.exceptions.DenialOfServiceError, match=r"33 CONTINUATION frames .* over the limit, 32"):
        read(frames(), FIRST, frame(HEADERS, b"", 0, 1), *[empty] * 33)


@pytest.mark.parametrize(
    ("what", "one"),
    [
        ("SETTINGS frames", frame(SETTINGS)),
        ("PING frames", frame(PING, bytes(8))),
        ("PUSH_PROMISE frames", frame(PUSH_PROMISE, bytes(4), END_HEADERS, 1)),
        ("unknown frames", frame(99)),
        ("empty DATA frames", frame(DATA, b"", 0, 1)),
        ("empty DATA frames", frame(DATA, b"\5" + bytes(5), PADDED, 1)),
    ],
)
def test_a_flood_of_a_kind_that_says_nothing_is_refused(what: str, one: bytes) -> None:
    clock = Clock()
    reader = frames(clock)
    before = [] if what == "SETTINGS frames" else [one]  # the first frame is one
    read(reader, FIRST, *before, one, one)
    with pytest.raises(h2.exceptions.DenialOfServiceError) as caught:
        read(reader, one)
    assert str(caught.value).startswith(f"HTTP2: 4 {what} within 30 seconds are over the limit, max_control_frames=3. ")
    clock.time = 30.0
    assert [one] == read(frames(), FIRST, one)[1:]


def test_counts_begin_anew_after_a_while() -> None:
    clock = Clock()
    reader = frames(clock)
    read(reader, FIRST)
    ping = frame(PING, bytes(8))
    for clock.time in (0.0, 30.0, 61.0):
        assert [ping] * 3 == read(reader, ping * 3)


def test_data_with_something_in_it_is_no_flood() -> None:
    some = [frame(DATA, b"x", 0, 1), frame(DATA, b"\1x\0", PADDED, 1), frame(DATA, b"", END_STREAM, 1)]
    assert some * 9 == read(frames(), FIRST, *some * 9)[1:]


def test_window_updates_are_no_flood_as_long_as_something_was_sent() -> None:
    update = window_update(1)
    reader = frames()
    read(reader, FIRST, *[update] * 103)
    with pytest.raises(h2.exceptions.DenialOfServiceError, match="4 WINDOW_UPDATE frames within"):
        read(reader, update)
    reader = frames()
    read(reader, FIRST, *[update] * 103)
    for _ in range(50):
        reader.allow_updates()
        read(reader, *[update] * 4)
    read(reader, frame(HEADERS, b"", END_HEADERS, 1), *[update] * 4)


def test_resets_are_counted_whoever_resets() -> None:
    reader = frames()
    read(reader, FIRST, frame(RST_STREAM, bytes(4), 0, 1))
    reader.count_reset()
    with pytest.raises(h2.exceptions.DenialOfServiceError, match=r"3 reset streams within .* limit, max_resets=2\."):
        read(reader, frame(RST_STREAM, bytes(4), 0, 1))
