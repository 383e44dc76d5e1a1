"""Which reply belongs to which request: `ByKey` and `InOrder`, with no tasks and no pipeline."""

from __future__ import annotations

import pytest

from pipeline._matching import ByKey, InOrder, Matching, Request


def by_key(max_late: int = 9) -> ByKey[Request]:
    """Requests are texts, known by their first letter; replies too, and those in capitals are none."""
    return ByKey(
        lambda reply: reply[0] if reply.islower() else None, lambda request: request[:1] or None, max_late=max_late
    )


def begun(matching: Matching[Request], *items: str) -> list[Request]:
    """Requests that are being written."""
    requests = [Request(item) for item in items]
    for request in requests:
        matching.reserve(request)
        matching.begin(request)
    return requests


def test_a_reply_ends_the_request_with_its_key() -> None:
    """Each once, in any order; what has another key, or none, is no reply."""
    matching = by_key()
    one, two = begun(matching, "one", "two")
    assert [None, two, None, None, one] == [matching.find(item) for item in ("x", "t", "t", "ONE", "o")]


def test_a_request_that_is_not_begun_has_no_reply_yet() -> None:
    """What comes with its key was not asked for by it."""
    matching = by_key()
    request = Request("one")
    matching.reserve(request)
    assert matching.find("o") is None
    matching.begin(request)
    assert request is matching.find("o")


def test_a_key_is_used_once_at_a_time() -> None:
    """By a request that waits, or whose reply may still come."""
    matching = by_key()
    (request,) = begun(matching, "one")
    with pytest.raises(ValueError, match="a call with the key 'o' is waiting already: give each call a key of its own"):
        matching.reserve(Request("other"))
    matching.leave(request)
    with pytest.raises(ValueError, match=r"'o' was cancelled after its request went out.*take another key"):
        matching.reserve(Request("other"))
    assert request is matching.find("o")
    assert request.left
    (other,) = begun(matching, "other")
    assert other is matching.find("o")


def test_a_request_needs_a_key() -> None:
    with pytest.raises(ValueError, match=r"this request's key is None.*notify\(item\)"):
        by_key().reserve(Request(""))


def test_of_those_who_left_the_oldest_is_forgotten() -> None:
    """Its key can be used again, and its reply is none."""
    matching = by_key(max_late=2)
    one, two, three = begun(matching, "one", "two", "3")
    for request in (one, two, three):
        matching.leave(request)
    assert matching.find("o") is None
    assert two is matching.find("t")
    assert not matching.holds_back


def test_a_request_that_did_not_go_out_is_forgotten() -> None:
    """Twice is no error, and does not touch another one with the same key."""
    matching = by_key()
    (one,) = begun(matching, "one")
    matching.forget(one)
    (other,) = begun(matching, "other")
    matching.forget(one)
    assert other is matching.find("o")


def test_in_order_replies_end_the_requests_as_they_were_begun() -> None:
    matching: InOrder[Request] = InOrder(max_late=2)
    one, two = begun(matching, "one", "two")
    assert [one, two, None] == [matching.find(reply) for reply in ("a", "b", "c")]


def test_in_order_those_who_left_keep_their_places() -> None:
    """So many of them hold the next request back, until replies have come."""
    matching: InOrder[Request] = InOrder(max_late=2)
    one, two, three = begun(matching, "one", "two", "three")
    held = []
    for request in (one, two):
        matching.leave(request)
        held.append(matching.holds_back)
    assert one is matching.find("a")
    assert [False, True, False] == [*held, matching.holds_back]
    assert [two, three] == [matching.find("b"), matching.find("c")]


def test_in_order_a_request_that_did_not_go_out_is_forgotten() -> None:
    """It was the last one that was begun, or it has its reply already."""
    matching: InOrder[Request] = InOrder(max_late=1)
    one, two = begun(matching, "one", "two")
    matching.leave(two)
    held = matching.holds_back
    matching.forget(two)
    assert (True, False) == (held, matching.holds_back)
    assert one is matching.find("a")
    matching.forget(one)
    (three,) = begun(matching, "three")
    matching.forget(one)
    assert three is matching.find("b")
