"""Whose item is written next: `Turns`, with no tasks and no pipeline."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pipeline._turns import Turns


def yes(stream: str, thing: str) -> bool:
    return True


def not_of(*streams: str) -> Callable[[str, str], bool]:
    return lambda stream, thing: stream not in streams


def turns(*things: str) -> Turns[str, str]:
    """Each thing is of the stream with its first letter."""
    made: Turns[str, str] = Turns()
    for thing in things:
        made.add(thing[0], thing)
    return made


def all_of(made: Turns[str, str], may_send: Callable[[str, str], bool] = yes) -> list[str]:
    return list(iter(lambda: made.next(may_send), None))


def test_streams_take_turns() -> None:
    """An item each, so that one with much to send does not hold up the others."""
    assert ["a1", "b1", "c1", "a2", "b2", "a3"] == all_of(turns("a1", "a2", "a3", "b1", "b2", "c1"))


def test_some_things_go_ahead_of_all_streams() -> None:
    made = turns("a1", "b1")
    made.add_first("!1")
    made.add_first("!2")
    assert made.ready
    assert ["!1", "!2", "a1", "b1"] == all_of(made)


def test_what_may_not_be_sent_waits_aside() -> None:
    """It is asked for again only when something has changed."""
    made = turns("a1", "a2", "b1")
    assert ["b1"] == all_of(made, not_of("a"))
    assert not made.ready
    assert [] == all_of(made)
    assert made.look_again()
    assert ["a1", "a2"] == all_of(made)
    assert not made.look_again()


def test_those_set_aside_keep_their_order_among_each_other() -> None:
    """New streams that must wait begin in the order in which they came, whoever came meanwhile."""
    made = turns("a1", "b1", "c1")
    assert [] == all_of(made, not_of("a", "b", "c"))
    made.look_again()
    assert "a1" == made.next(yes)
    assert made.next(not_of("b", "c", "d")) is None
    made.add("d", "d1")
    assert made.next(not_of("b", "c", "d")) is None
    made.look_again()
    made.add("e", "e1")
    assert ["b1", "c1", "d1", "e1"] == all_of(made)


def test_what_is_withdrawn_is_not_sent() -> None:
    """Once it is taken out it cannot be withdrawn any more."""
    made = turns("a1", "a2", "b1", "b2")
    assert made.withdraw("a", "a1")
    assert made.withdraw("b", "b1")
    assert made.withdraw("b", "b2")
    assert ["a2"] == all_of(made)
    assert not made.withdraw("a", "a2")
    made.add("b", "b3")
    assert ["b3"] == all_of(made)


def test_a_stream_is_dropped_wherever_it_waits() -> None:
    made = turns("a1", "b1", "b2", "c1")
    assert ["c1"] == all_of(made, not_of("a", "b"))
    made.add("d", "d1")
    assert [["a1"], ["b1", "b2"], ["d1"], []] == [made.drop(stream) for stream in "abdc"]
    made.look_again()
    assert [] == all_of(made)


@given(st.lists(st.sampled_from("abcde")), st.sets(st.sampled_from("abcde")))
def test_nothing_is_lost_or_doubled_and_each_stream_keeps_its_order(letters: list[str], shut: set[str]) -> None:
    """Whoever may not send for a while."""
    things = [f"{letter}{number}" for number, letter in enumerate(letters)]
    made = turns(*things)
    sent = all_of(made, not_of(*shut))
    assert not {thing[0] for thing in sent} & shut
    made.look_again()
    sent += all_of(made)
    for stream in "abcde":
        assert [thing for thing in things if thing[0] == stream] == [thing for thing in sent if thing[0] == stream]
    assert len(sent) == len(things)
