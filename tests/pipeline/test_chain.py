"""Directions and chains: how pieces join, how they are drawn, and what is refused when they do."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pipeline import (
    NEED_INPUT,
    Duplex,
    Engine,
    Inbound,
    Outbound,
    Passthrough,
    Stage,
    StageInUseError,
)
from pipeline._chain import Chain, InboundChain, OutboundChain, PassthroughChain, places_of
from pipeline.testing import Harness
from tests.pipeline.engines import Handshake, In, Out, Traced, marking, received, run, running, sent

# ---- C1: joining


def test_a_chain_reads_from_wire_to_client() -> None:
    """Inbound runs it forwards, outbound backwards."""
    assert ["xabc"] == received(running(marking("a") | marking("b") | marking("c")), "x")
    assert ["xcba"] == sent(running(marking("a") | marking("b") | marking("c")), "x")


def bracketings(pieces: list[Any]) -> list[Any]:
    """All ways to join them with brackets."""
    if len(pieces) == 1:
        return pieces
    return [
        left | right
        for cut in range(1, len(pieces))
        for left in bracketings(pieces[:cut])
        for right in bracketings(pieces[cut:])
    ]


@pytest.mark.parametrize("kinds", [*itertools.product("IODP", repeat=3)], ids="".join)
def test_joining_is_associative(kinds: tuple[str, ...]) -> None:
    """However it is bracketed: the same kind of chain, the same drawing, the same pieces."""
    make: dict[str, Any] = {"I": In, "O": Out, "D": lambda: Duplex(In(), Out()), "P": lambda: Passthrough(In())}
    left, right = bracketings([make[kind]() for kind in kinds])

    assert type(left) is type(right)
    assert repr(left) == repr(right)
    assert [place.piece for place in places_of(left)] == [place.piece for place in places_of(right)]


KINDS = {
    InboundChain: ["II", "IP", "PI"],
    OutboundChain: ["OO", "PO", "OP"],
    PassthroughChain: ["PP"],
    Chain: ["IO", "OI", "DI", "OD", "PD", "DD"],
}


@pytest.mark.parametrize(
    ("kinds", "chain"), [(kinds, chain) for chain, all_kinds in KINDS.items() for kinds in all_kinds]
)
def test_the_kind_of_a_chain(kinds: str, chain: type) -> None:
    """Inbound stages stay inbound, and so on; a tap takes the kind of its neighbour."""
    make: dict[str, Any] = {"I": In, "O": Out, "D": lambda: Duplex(In(), Out()), "P": Passthrough}

    joined = make[kinds[0]]() | make[kinds[1]]()

    assert type(joined) is chain
    assert isinstance(
        joined, {InboundChain: Inbound, OutboundChain: Outbound, PassthroughChain: Passthrough}.get(chain, Duplex)
    )


def test_a_chain_nests() -> None:
    """In a chain, and as one half of a duplex."""
    inner = In(lambda _, item: [item + "1"]) | In(lambda _, item: [item + "2"])

    assert ["x012"] == received(running(In(lambda _, item: [item + "0"]) | inner), "x")


def test_a_chain_may_be_a_half_of_a_duplex() -> None:
    """Its stages run one by one there, too: lazily, with all that they declare, and named with the duplex."""
    lazy = Traced(range(10))
    pauses = In()
    pauses.wants_input = False
    duplex = Duplex(In(lambda _, item: lazy) | In(), (Out(name="below") | Passthrough(None, Out(name="above"))))
    engine = running(duplex | pauses)
    engine.feed("x")

    assert NEED_INPUT is engine.next_item()
    assert 1 == lazy.pulled
    assert not engine.wants_input
    assert ["below", "above"] == [stage.name for stage in places_of_piece(duplex)]
    with pytest.raises(StageInUseError):
        Engine(duplex.inbound)


def places_of_piece(duplex: Any) -> Any:
    return duplex.outbound._in_order()[::-1]


def test_the_gates_of_a_half_that_is_a_chain_hold_a_send_above_all_of_it() -> None:
    """What is sent waits before the first of its stages."""
    above, below = Out(), Out()
    hand = Handshake()
    engine = running(Duplex(hand | In(), below | above))
    engine.send("x")

    assert [] == engine.to_write()
    assert [] == above.seen
    received(engine, "go")
    assert ["x"] == engine.to_write()
    assert ["x"] == above.seen == below.seen


def test_one_direction_passes_what_belongs_to_the_other() -> None:
    """Unseen."""
    assert ["out"] == sent(running(In(lambda _, item: [])), "out")
    assert ["in"] == received(running(Out(lambda _, item: [])), "in")


# ---- its halves, each a stage


def test_the_halves_of_a_chain_are_in_the_order_of_the_flow() -> None:
    chain: Any = marking("a") | In(name="b") | Out(name="c")
    assert ["xa"] == run(chain.inbound.process("x"))
    assert ["In", "b"] == [stage.name for stage in chain.inbound._in_order()]
    assert ["c", "Out"] == [stage.name for stage in chain.outbound._in_order()]


def test_half_a_chain_runs_in_an_engine() -> None:
    """Taken apart there, so that lazy results stay lazy."""
    harness = Harness((marking("a") | marking("b")).inbound)

    assert ["xab"] == harness.receive("x")


# ---- C4: drawing


def test_a_chain_is_drawn_as_it_is_written() -> None:
    """Brackets aside."""
    chain = In() | (Passthrough(In(name="tap")) | Duplex(In(), Out())) | (Out() | In())

    assert "In() | Passthrough(tap(name='tap')) | Duplex(In(), Out()) | Out() | In()" == repr(chain)
    assert "In() | In()" == repr(In() | In())
    assert "Out() | Out()" == repr(Out() | Out())
    assert "Passthrough() | Passthrough()" == repr(Passthrough() | Passthrough())


def test_a_duplex_is_named_after_its_class() -> None:
    """Unless it sets a name; its arguments are drawn."""

    class Codec(Duplex[Any, Any, Any, Any]):
        def __init__(self, *, max_bytes: int) -> None:
            super().__init__(In(), Out())

    class Renamed(Codec):
        name = "renamed"

    assert ("Codec", "Codec(max_bytes=5)") == (Codec(max_bytes=5).name, repr(Codec(max_bytes=5)))
    assert "renamed(max_bytes=5)" == repr(Renamed(max_bytes=5))


# ---- C3: what is refused


class Undirected(Stage[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


class Empty(Inbound[Any, Any]): ...


class TwoWays(Inbound[Any, Any], Outbound[Any, Any]):  # type: ignore[misc]
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


class HalfSet(Duplex[Any, Any, Any, Any]):
    def __init__(self) -> None:
        self.inbound = In()


class Swapped(Duplex[Any, Any, Any, Any]):
    def __init__(self) -> None:
        super().__init__(Out(), In())  # type: ignore[arg-type]


def helper(item: Any) -> Any: ...


class Both(Duplex[Any, Any, Any, Any]):
    def __init__(self) -> None:
        super().__init__(In(), Out())


class NotInitialised(Both):
    def __init__(self) -> None: ...


class WholeAsHalf(Duplex[Any, Any, Any, Any]):
    def __init__(self) -> None:
        self.inbound = Both()  # type: ignore[assignment]


def make_chain(size: int = 5) -> Any: ...


def wrong_passthrough() -> Any:
    half: Any = Out()
    return Passthrough(half)


MISTAKES: list[tuple[Any, str]] = [
    (In, "is the class In, not a stage: write In()"),
    (Duplex, "is the class Duplex, not a stage: write Duplex()"),
    (
        Undirected(),
        (
            "is Undirected(), a Stage without a direction: subclass Inbound or Outbound, as in `class "
            "Undirected(Inbound[...])`"
        ),
    ),
    (helper, "is the function helper, not a stage: write inbound(helper), outbound(helper) or Map(inbound=helper)"),
    (5, "is 5, which is no stage: subclass Inbound, Outbound or Duplex"),
    (make_chain, "is the function make_chain, not a stage: if it makes one, call it: make_chain()"),
    (max, "is the function max, not a stage: write inbound(max), outbound(max) or Map(inbound=max)"),
    (None, "is None, not a stage: is there a `return` in what makes it? One that does nothing is Passthrough()"),
    (Empty(), ", Empty(), defines neither `async def process` nor `def process_sync`"),
    (TwoWays(), ", TwoWays(), is Inbound and Outbound at once: make two stages and a Duplex of them"),
    (HalfSet(), ", HalfSet(), has no outbound half: set `self.outbound` to an Outbound stage, not None"),
    (Swapped(), ", Swapped(), has no inbound half: set `self.inbound` to an Inbound stage, not Out()"),
    (
        NotInitialised(),
        (
            ", NotInitialised(), has no inbound half: set `self.inbound` to an Inbound stage, not None; or let it be "
            "set by super().__init__()"
        ),
    ),
    (
        WholeAsHalf(),
        (
            ", WholeAsHalf(), has no inbound half: set `self.inbound` to an Inbound stage, not Both(), which has two: "
            "Both().inbound"
        ),
    ),
    (
        wrong_passthrough(),
        ", Passthrough(Out()), has no inbound half: set `self.inbound` to an Inbound stage, not Out()",
    ),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_what_is_no_stage_is_refused_where_it_is_joined(mistake: Any, message: str) -> None:
    """With its position and the right call; on either side of a stage, or alone."""
    space = "" if message.startswith(",") else " "
    with pytest.raises(TypeError) as info:
        In() | mistake
    assert f"stage 2 of 2{space}{message}" == str(info.value)
    with pytest.raises(TypeError) as info:
        mistake | (In() | Out())
    assert f"stage 1 of 3{space}{message}" == str(info.value)
    with pytest.raises(TypeError) as info:
        Engine(mistake)
    assert f"stage 1 of 1{space}{message}" == str(info.value)


def test_joined_classes_are_refused() -> None:
    """`In | Out` without brackets is a type in Python; the message shows them."""
    with pytest.raises(TypeError) as info:
        Engine(In | Out)  # type: ignore[arg-type]

    assert "which joins classes, not stages: write the brackets, as in LineFramer() | JSONCodec()" in str(info.value)


def test_a_stage_twice_in_a_chain_is_refused() -> None:
    """Also as a half of something; with both positions and a chain factory."""
    stage = In()
    message = (
        "is the same object as stage 1. A stage object belongs to one pipeline. Make a new chain for each: "
        "def make_chain(): return ... | "
    )
    with pytest.raises(StageInUseError) as info:
        stage | Out() | stage
    assert f"stage 3 of 3, In(), {message}In()" == str(info.value)
    with pytest.raises(StageInUseError) as info:
        stage | Duplex(stage, Out())
    assert f"stage 2 of 2, Duplex(In(), Out()), {message}Duplex(In(), Out())" == str(info.value)


def test_a_used_stage_is_refused_where_it_is_joined() -> None:
    """Not only when the chain is run."""
    stage = In()
    Engine(stage)

    with pytest.raises(
        StageInUseError, match=r"^stage 1 of 2, In\(\), served another pipeline already\. A stage object"
    ):
        stage | In()
