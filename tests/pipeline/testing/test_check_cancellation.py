"""`check_cancellation`: a stage that changes something before it waits is told, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio

from pipeline import Duplex, Inbound, Outbound, Reply
from pipeline.testing import check_cancellation


class SlowIn(Inbound[Any, Any]):
    """Waits, then gives each item twice, with a reply between."""

    async def process(self, item: Any, /) -> list[Any]:
        await trio.sleep(1)
        return [item, Reply(f"got {item}"), item]


class SlowOut(Outbound[Any, Any]):
    """Waits, then gives each item and an end mark."""

    keeps_outbound_state = False

    async def process(self, item: Any, /) -> list[Any]:
        await trio.sleep(1)
        return [item, f"{item}!"]


class NumberOut(Outbound[Any, Any]):
    """Keeps state, and changes it at the right moment: after the last wait."""

    number = 0

    async def process(self, item: Any, /) -> list[Any]:
        await trio.sleep(1)
        self.number += 1
        return [f"{self.number} {item}"]


class HastyIn(Inbound[Any, Any]):
    """Takes what it holds before it waits, so that it is gone when cancelled."""

    def __init__(self) -> None:
        self.held: Any = "nothing"

    async def process(self, item: Any, /) -> list[Any]:
        before, self.held = self.held, item
        await trio.sleep(1)
        return [before]

    async def finish(self) -> list[Any]:
        return [self.held]


class HastyOut(Outbound[Any, Any]):
    """Counts before it waits."""

    number = 0

    async def process(self, item: Any, /) -> list[Any]:
        self.number += 1
        await trio.sleep(1)
        return [f"{self.number} {item}"]


async def failure(factory: Any) -> str:
    with pytest.raises(AssertionError) as info:
        await check_cancellation(factory, wire=["a", "b"], client=["x", "y"])
    return str(info.value)


@pytest.mark.parametrize(
    "factory",
    [
        lambda: SlowIn() | SlowOut(),
        lambda: Duplex(SlowIn(), NumberOut()),
        lambda: SlowOut() | NumberOut(),
        lambda: NumberOut() | SlowOut(),
        lambda: SlowIn() | SlowIn(),
    ],
)
async def test_good_stages_pass(factory: Any) -> None:
    """Each at the wire, at the client, with state and without; there were checkpoints to cancel."""
    assert await check_cancellation(factory, wire=["a", "b"], client=["x", "y"]) > 8


async def test_outbound_is_checked_with_client_items_only() -> None:
    """Without them nothing is sent."""
    inbound_only = await check_cancellation(lambda: SlowIn() | HastyOut(), wire=[])

    assert inbound_only < await check_cancellation(lambda: SlowIn() | SlowOut(), wire=[], client=["x"])


async def test_s5_a_stage_that_changes_itself_before_it_waits() -> None:
    """An item is lost; the checkpoint, and the stage that waited there, are named."""
    message = await failure(HastyIn)

    assert message.startswith("S5: items were lost, doubled or changed, inbound\n  stage: HastyIn()")
    assert "inside stage HastyIn" in message
    assert "expected: received ['nothing', 'a', 'b']" in message
    assert "got: received ['a', 'a', 'b']" in message


async def test_p10_a_stage_that_changes_itself_before_it_waits() -> None:
    """A send that had no effect has had one."""
    message = await failure(HastyOut)

    assert message.startswith("P10: a cancelled send() left a part behind, or changed what follows")
    assert "cancelled: at checkpoint 1, inside stage HastyOut" in message
    assert "wrote ['1 x', '2 y'] or received [], wrote ['1 y']" in message
    assert "got: received [], wrote ['2 y']" in message


async def test_p10_a_stage_that_hides_its_state() -> None:
    """It declares to keep none, and a stage behind it waits: the number is gone."""

    class Hides(HastyOut):
        keeps_outbound_state = False

        async def process(self, item: Any, /) -> list[Any]:
            self.number += 1
            return [f"{self.number} {item}"]

    assert (await failure(lambda: SlowOut() | Hides())).startswith("P10: a cancelled send() left a part")


async def test_a_stage_that_fails_by_itself_passes() -> None:
    """The same error with and without cancellation."""

    class Fails(SlowIn):
        async def process(self, item: Any, /) -> list[Any]:
            await trio.sleep(1)
            raise ValueError(item)

    assert await check_cancellation(Fails, wire=["a"]) > 0


async def test_p10_a_broken_outbound_needs_a_reason() -> None:
    """A stage that calls the transport's error its own breaks what it need not break."""

    class Breaks(SlowOut):
        broken = False

        async def process(self, item: Any, /) -> list[Any]:
            if self.broken:
                raise trio.BrokenResourceError("after a cancellation nothing goes any more")
            self.broken = True
            await trio.sleep(1)
            self.broken = False
            return [item]

    assert (await failure(Breaks)).startswith("P10: a cancelled send() broke outbound, though no stage keeps")


async def test_p10_what_was_written_before_it_broke() -> None:
    """Outbound may be broken by a stage with state, but what is written must be how the whole begins."""

    class Garbage(Outbound[Any, Any]):
        broken = False

        async def process(self, item: Any, /) -> Iterator[Any]:
            if self.broken:
                return self.garbage()
            self.broken = True
            await trio.sleep(1)
            self.broken = False
            return iter([item])

        def garbage(self) -> Iterator[Any]:
            yield bytes(70_000)
            raise trio.BrokenResourceError("too late")

    assert (await failure(Garbage)).startswith("P10: outbound is broken, and what was written is not how")


async def test_a_chain_that_stops_reading_passes() -> None:
    """What it does not take from the wire is nobody's loss."""
    from pipeline import END, inbound  # noqa: PLC0415

    assert await check_cancellation(lambda: inbound(lambda item: [item, END]), wire=["a", "b", "c"]) > 0


async def test_a_chain_that_cannot_be_made_or_entered_fails_as_itself() -> None:
    def make() -> Any:
        raise KeyError("no such setting")

    class NotToday(Inbound[Any, Any]):
        async def start(self) -> list[Any]:
            raise OSError("not today")

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    with pytest.raises(KeyError, match="no such setting"):
        await check_cancellation(make, wire=["a"])
    with pytest.raises(OSError, match="not today"):
        await check_cancellation(NotToday, wire=["a"])


async def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = SlowIn()
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: SlowIn\(\)"):
        await check_cancellation(stage, wire=["a"])
