"""The messages of JSON-RPC: values, each of a type of its own."""

from __future__ import annotations

import pytest

from stages import RPCError, RPCMessage, RPCNotification, RPCRequest, RPCResponse


def test_a_request_has_an_id_of_its_own_unless_given() -> None:
    ids = {RPCRequest("look").id for _ in range(100)}
    assert 100 == len(ids)
    assert 7 == RPCRequest("look", id=7).id


@pytest.mark.parametrize("number", [7, "seven"])
def test_a_request_makes_its_replies(number: int | str) -> None:
    request = RPCRequest("look", [1], number)
    assert RPCResponse(number, [2]) == request.response([2])
    assert RPCResponse(number) == request.response()
    assert RPCError(number, -32601, "no look here", {"a": 1}) == request.error(-32601, "no look here", {"a": 1})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (RPCRequest("look", [1], 7), ("request", "look", [1])),
        (RPCNotification("seen"), ("notification", "seen", None)),
        (RPCResponse(7, 8), ("response", 7, 8)),
        (RPCError(None, 1, "no"), ("error", None, 1)),
    ],
)
def test_match_tells_which_it_is(message: RPCMessage, told: object) -> None:
    found: object = None
    match message:
        case RPCRequest(method, params):
            found = ("request", method, params)
        case RPCNotification(method, params):
            found = ("notification", method, params)
        case RPCResponse(to, result):
            found = ("response", to, result)
        case RPCError(to, code):
            found = ("error", to, code)
    assert told == found
