"""`inbound(fn)` and `outbound(fn)`."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from pipeline import Inbound, Outbound, StageReturnError, inbound, outbound
from tests.pipeline.engines import finished, pause, received, running, sent, taken, written


def words(text: str) -> list[str]:
    return text.split()


async def slow_words(text: str) -> list[str]:
    await pause()
    return text.split()


class Words:
    def __call__(self, text: str) -> list[str]:
        return text.split()


class SlowWords:
    async def __call__(self, text: str) -> list[str]:
        await pause()
        return text.split()


@pytest.mark.parametrize("function", [words, Words(), str.split, functools.partial(str.split, sep=" ")])
def test_a_plain_function_is_a_stage(function: Any) -> None:
    """Or anything that can be called with an item; in both directions."""
    assert ["a", "b"] == received(running(inbound(function)), "a b")
    assert ["a", "b"] == sent(running(outbound(function)), "a b")


@pytest.mark.parametrize("function", [slow_words, SlowWords(), functools.partial(slow_words)])
def test_an_async_function_is_a_stage_that_waits(function: Any) -> None:
    """Known by how it is defined."""
    engine = running(inbound(function) | outbound(function))
    engine.feed("a b")
    engine.send("c d")
    finished(engine.next_item())
    finished(engine.to_write())

    assert ["a", "b"] == taken(engine)
    assert ["c", "d"] == written(engine)


def test_as_a_decorator() -> None:
    """The function becomes the stage."""

    @inbound
    def shout(text: str) -> list[str]:
        return [text.upper()]

    @outbound
    def whisper(text: str) -> list[str]:
        return [text.lower()]

    assert isinstance(shout, Inbound)
    assert isinstance(whisper, Outbound)
    assert "inbound(shout) | outbound(whisper)" == repr(shout | whisper)
    assert "shout" == shout.name


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda item: [item], "<lambda>"),
        (Words(), "Words"),
        (functools.partial(words), "partial"),
        (str.split, "split"),
    ],
)
def test_it_is_named_after_the_function(function: Any, name: str) -> None:
    """Or after its class, where it has no name."""
    assert f"inbound({name})" == repr(inbound(function))


def test_it_holds_nothing_and_serves_many_pipelines() -> None:
    """No send can spoil it either."""
    stage = inbound(words) | outbound(words)

    for _ in range(2):
        assert ["a"] == received(running(stage), "a")
    assert inbound(words).shareable
    assert not outbound(words).keeps_outbound_state


def test_a_function_that_gives_a_coroutine_away_is_told() -> None:
    """A lambda around an async function cannot be seen to be one."""

    def not_async(text: str) -> Any:
        return slow_words(text)

    with pytest.raises(StageReturnError, match=r"^not_async\(\) returned a coroutine"):
        received(running(inbound(not_async)), "a")


@pytest.mark.parametrize("make", [inbound, outbound])
@pytest.mark.parametrize("wrong", [5, "text", None, inbound(words)])
def test_what_cannot_be_called_is_refused(make: Any, wrong: Any) -> None:
    """At once, and not with the first item."""
    with pytest.raises(TypeError, match=r"(in|out)bound\(\) takes a function item → items, not "):
        make(wrong)
