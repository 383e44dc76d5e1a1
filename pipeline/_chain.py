"""Directions, and how stages join with `|` into a chain.

              inbound ─►
 transport  │ LineFramer │ JSONCodec │ Logger │  your code
              ◄─ outbound

Rules for this file: a chain is only a description; nothing runs here. It is written from wire to
client, it is associative, and everything that can be known to be wrong with it is refused here.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, overload

from typing_extensions import TypeVar

from ._errors import StageInUseError
from ._stage import Host, In, Out, Stage, can_process, remember_call, shown_call
from ._stagechain import StageChain

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
WireIn = TypeVar("WireIn", contravariant=True)
ClientIn = TypeVar("ClientIn", covariant=True)
ClientOut = TypeVar("ClientOut", contravariant=True)
WireOut = TypeVar("WireOut", covariant=True)


class _Piece:
    """What `|` joins."""

    if not TYPE_CHECKING:  # the checkers are to judge `a | b` by a's overloads alone

        def __ror__(self, other: Any) -> Any:
            """`a | self` where a is no piece: refused with the right call."""
            return join(other, self)


class Inbound(Stage[In, Out], _Piece):
    """A stage for what travels from the wire to the client; the other way passes it unseen.

    in:  wire items        out:  client items
    """

    @overload
    def __or__(self, other: Passthrough) -> Inbound[In, Out]: ...
    @overload
    def __or__(self, other: Inbound[Out, A]) -> Inbound[In, A]: ...
    @overload
    def __or__(self, other: Outbound[A, B]) -> Duplex[In, Out, A, B]: ...
    @overload
    def __or__(self, other: Duplex[Out, A, B, C]) -> Duplex[In, A, B, C]: ...
    def __or__(self, other: Any) -> Any:
        return join(self, other)


class Outbound(Stage[In, Out], _Piece):
    """A stage for what travels from the client to the wire; the other way passes it unseen.

    in:  client items        out:  wire items
    """

    @overload
    def __or__(self, other: Passthrough) -> Outbound[In, Out]: ...
    @overload
    def __or__(self, other: Outbound[A, In]) -> Outbound[A, Out]: ...
    @overload
    def __or__(self, other: Inbound[A, B]) -> Duplex[A, B, In, Out]: ...
    @overload
    def __or__(self, other: Duplex[A, B, C, In]) -> Duplex[A, B, C, Out]: ...
    def __or__(self, other: Any) -> Any:
        return join(self, other)


class _Pair(_Piece):
    """Two halves that belong together: what `Duplex` and `Passthrough` share."""

    name: str = "Duplex"
    _call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            return remember_call(cls, args, kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def __repr__(self) -> str:
        return shown_call(self.name, self._call)


class Duplex(_Pair, Generic[WireIn, ClientIn, ClientOut, WireOut]):
    """An inbound and an outbound stage which belong together and may share state.

    wire items  ─►  inbound   ─►  client items
    wire items  ◄─  outbound  ◄─  client items

    Its four types are those of what is read, received, sent and written, as in `Duplex[bytes, Order, Answer, bytes]`;
    `Codec[bytes, str]` is short for `Duplex[bytes, str, str, bytes]`.

    Args:
        inbound: the half for what comes from the wire.
        outbound: the half for what the client sends.

    A subclass may set the two attributes itself. The halves may run in two tasks: they interleave
    at an `await` or `yield`, never in between.
    """

    inbound: Inbound[WireIn, ClientIn]
    outbound: Outbound[ClientOut, WireOut]

    def __init__(self, inbound: Inbound[WireIn, ClientIn], outbound: Outbound[ClientOut, WireOut]) -> None:
        self.inbound = inbound
        self.outbound = outbound

    @overload
    def __or__(self, other: Passthrough) -> Duplex[WireIn, ClientIn, ClientOut, WireOut]: ...
    @overload
    def __or__(self, other: Inbound[ClientIn, A]) -> Duplex[WireIn, A, ClientOut, WireOut]: ...
    @overload
    def __or__(self, other: Outbound[A, ClientOut]) -> Duplex[WireIn, ClientIn, A, WireOut]: ...
    @overload
    def __or__(self, other: Duplex[ClientIn, A, B, ClientOut]) -> Duplex[WireIn, A, B, WireOut]: ...
    def __or__(self, other: Any) -> Any:
        return join(self, other)


Codec: TypeAlias = Duplex[A, B, B, A]
"""`Codec[Wire, Client]`: a duplex with the same types both ways."""


class Passthrough(_Pair):
    """A duplex that gives on the types of its neighbours: a tap, a limit.

    wire items  ─►  inbound   ─►  the same items
    the same items  ◄─  outbound  ◄─  client items

    Args:
        inbound: sees what comes from the wire; None: passes unseen.
        outbound: sees what the client sends; None: passes unseen.
    """

    inbound: Inbound[Any, Any] | None
    outbound: Outbound[Any, Any] | None

    def __init__(self, inbound: Inbound[Any, Any] | None = None, outbound: Outbound[Any, Any] | None = None) -> None:
        self.inbound = inbound
        self.outbound = outbound

    @overload
    def __or__(self, other: Passthrough) -> Passthrough: ...
    @overload
    def __or__(self, other: Inbound[A, B]) -> Inbound[A, B]: ...
    @overload
    def __or__(self, other: Outbound[A, B]) -> Outbound[A, B]: ...
    @overload
    def __or__(self, other: Duplex[A, B, C, WireOut]) -> Duplex[A, B, C, WireOut]: ...
    def __or__(self, other: Any) -> Any:
        return join(self, other)


class _Drawn:
    """Shows its parts as they are written, and so does not keep what it was made with, as other pieces do."""

    parts: tuple[Any, ...]

    if not TYPE_CHECKING:

        def __new__(cls, *_: Any) -> Self:
            return object.__new__(cls)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts))


class Chain(_Drawn, Duplex[WireIn, ClientIn, ClientOut, WireOut]):
    """Pieces joined with `|`: itself a duplex, so it nests, and each side of it can be tested alone."""

    # Made when somebody asks for them: a pipeline takes the chain apart without.
    @cached_property
    def inbound(self) -> InboundChain:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inbound halves of the pieces, as one stage."""
        return InboundChain(_halves(self.parts, "inbound"))

    @cached_property
    def outbound(self) -> OutboundChain:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The outbound halves of the pieces, as one stage."""
        return OutboundChain(_halves(self.parts, "outbound"))


class PassthroughChain(_Drawn, Passthrough):
    """Taps and limits joined with `|`, still without types of their own."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        _Drawn.__init__(self, parts)
        Passthrough.__init__(self, InboundChain(_halves(parts, "inbound")), OutboundChain(_halves(parts, "outbound")))


class InboundChain(_Drawn, StageChain, Inbound[Any, Any]):
    """Inbound stages joined with `|`: still inbound."""

    def _in_order(self) -> tuple[Stage[Any, Any], ...]:
        return _halves(self.parts, "inbound")


class OutboundChain(_Drawn, StageChain, Outbound[Any, Any]):
    """Outbound stages joined with `|`: still outbound."""

    def _in_order(self) -> tuple[Stage[Any, Any], ...]:
        return _halves(self.parts, "outbound")[::-1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece stands in a chain: number 1 is at the wire."""

    number: int
    piece: Any
    inbound: Inbound[Any, Any] | None
    outbound: Outbound[Any, Any] | None

    @property
    def name(self) -> str:
        name: str = self.piece.name
        return name

    @property
    def inbound_stages(self) -> tuple[Stage[Any, Any], ...]:
        """Its inbound half, a chain taken apart, wire side first."""
        return _stages_of(self.inbound, "inbound")

    @property
    def outbound_stages(self) -> tuple[Stage[Any, Any], ...]:
        """Its outbound half, a chain taken apart, wire side first."""
        return _stages_of(self.outbound, "outbound")


def _stages_of(half: Stage[Any, Any] | None, side: str) -> tuple[Stage[Any, Any], ...]:
    if half is None:
        return ()
    if isinstance(half, InboundChain | OutboundChain):
        return tuple(stage for part in _halves(half.parts, side) for stage in _stages_of(part, side))
    return (half,)


def places_of(chain: object) -> list[Place]:
    """Take a chain apart, wire side first, and refuse what cannot run.

    Raises:
        TypeError: a piece is no stage, or one without a direction or without `process`.
        StageInUseError: a stage object is there twice, or served another pipeline already.
    """
    return _places(_parts_of(chain))


def _places(parts: tuple[Any, ...]) -> list[Place]:
    places = [_place(number, part, len(parts)) for number, part in enumerate(parts, 1)]
    seen: dict[int, Place] = {}
    for place in places:
        for stage in (*place.inbound_stages, *place.outbound_stages):
            if not stage.shareable:
                _refuse_used(place, stage, len(places), seen)
    return places


def join(left: object, right: object) -> Any:
    """`left | right`: flat, so that joining is associative; checked, so that a mistake shows where it is made."""
    parts = (*_parts_of(left), *_parts_of(right))
    _places(parts)
    return chain_of(parts)


def chain_of(parts: tuple[Any, ...]) -> Any:
    """The chain of pieces that are known to be right."""
    if len(parts) == 1:
        return parts[0]
    directed = [piece for piece in parts if not isinstance(piece, Passthrough)]
    if not directed:
        return PassthroughChain(parts)
    if all(isinstance(piece, Inbound) for piece in directed):
        return InboundChain(parts)
    if all(isinstance(piece, Outbound) for piece in directed):
        return OutboundChain(parts)
    return Chain(parts)


def _parts_of(piece: object) -> tuple[Any, ...]:
    if isinstance(piece, Chain | PassthroughChain | InboundChain | OutboundChain):
        return piece.parts
    return (piece,)


def _halves(parts: tuple[Any, ...], side: str) -> tuple[Stage[Any, Any], ...]:
    """The stages of one direction, wire side first."""
    direction = Inbound if side == "inbound" else Outbound
    halves = [part if isinstance(part, direction) else getattr(part, side, None) for part in parts]
    return tuple(half for half in halves if half is not None)


def _place(number: int, part: Any, total: int) -> Place:
    where = f"stage {number} of {total}"
    if isinstance(part, Outbound) and issubclass(type(part), Inbound):
        raise TypeError(f"{where}, {part!r}, is Inbound and Outbound at once: make two stages and a Duplex of them")
    if isinstance(part, Inbound):
        place = Place(number, part, part, None)
    elif isinstance(part, Outbound):
        place = Place(number, part, None, part)
    elif isinstance(part, _Pair):
        place = Place(number, part, _half_of(part, "inbound", where), _half_of(part, "outbound", where))
    else:
        raise TypeError(f"{where} is {_what_it_is(part)}")
    for half in (place.inbound, place.outbound):
        if half is not None and not can_process(half):
            raise TypeError(f"{where}, {half!r}, defines neither `async def process` nor `def process_sync`")
    return place


def _half_of(pair: _Pair, side: str, where: str) -> Any:
    half = getattr(pair, side, None)
    direction = Inbound if side == "inbound" else Outbound
    if isinstance(half, direction) or (half is None and isinstance(pair, Passthrough)):
        return half
    raise TypeError(
        f"{where}, {pair!r}, has no {side} half: set `self.{side}` to an {direction.__name__} stage, not {half!r}"
        f"{_other_remedy(pair, side, half)}"
    )


def _other_remedy(pair: _Pair, side: str, half: object) -> str:
    if isinstance(half, _Pair):
        return f", which has two: {half!r}.{side}"
    bases = type(pair).__mro__[1 : type(pair).__mro__.index(_Pair)]
    if half is None and any("__init__" in vars(base) for base in bases if base is not Duplex):
        return "; or let it be set by super().__init__()"
    return ""


def _what_it_is(part: object) -> str:
    if isinstance(part, type):
        return f"the class {part.__name__}, not a stage: write {part.__name__}()"
    if isinstance(part, types.UnionType):
        return f"{part}, which joins classes, not stages: write the brackets, as in LineFramer() | JSONCodec()"
    if isinstance(part, Stage):
        return (
            f"{part!r}, a Stage without a direction: subclass Inbound or Outbound, "
            f"as in `class {type(part).__name__}(Inbound[...])`"
        )
    if callable(part):
        name = getattr(part, "__name__", "function")
        if _needs_nothing(part):
            return f"the function {name}, not a stage: if it makes one, call it: {name}()"
        return f"the function {name}, not a stage: write inbound({name}), outbound({name}) or Map(inbound={name})"
    if part is None:
        return "None, not a stage: is there a `return` in what makes it? One that does nothing is Passthrough()"
    return f"{part!r}, which is no stage: subclass Inbound, Outbound or Duplex"


def _needs_nothing(function: Callable[..., object]) -> bool:
    """Whether it can be called without arguments, as far as it says."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _refuse_used(place: Place, stage: Stage[Any, Any], total: int, seen: dict[int, Place]) -> None:
    if stage._host is not None:
        what = "served another pipeline already"
    elif id(stage) in seen:
        what = f"is the same object as stage {seen[id(stage)].number}"
    else:
        seen[id(stage)] = place
        return
    raise StageInUseError(
        f"stage {place.number} of {total}, {place.piece!r}, {what}. A stage object belongs to one pipeline. "
        f"Make a new chain for each: def make_chain(): return ... | {place.piece!r}"
    )


def claim(place: Place, host: Host, clock: Callable[[], float]) -> None:
    """Mark a place's stages as belonging to a pipeline, for good; from now on they read its clock and ask it."""
    for stage in (*place.inbound_stages, *place.outbound_stages):
        if not stage.shareable:
            object.__setattr__(stage, "_host", host)  # it may be a frozen dataclass
            object.__setattr__(stage, "_clock", clock)
