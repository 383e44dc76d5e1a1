"""One stage: the contract that everything in a chain fulfils.

Rules for this file: it knows nothing of chains, directions, bytes or event loops.

This is the loop that drives a stage (the real one, in `_flow.py`, does the same for a whole chain):

    for out in await stage.start(): ...              # once, before the first item
    for item in input:
        for out in await stage.process(item): ...    # pulled one by one; `process` waits until used up
    for out in await stage.finish(): ...             # once, only if the input ended cleanly
    stage.close()                                    # once, however it ended
"""

from __future__ import annotations

import enum
import gc
import inspect
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeAlias

from typing_extensions import TypeVar

from ._errors import StageReturnError

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Reply(Generic[T_co]):
    """Among a stage's results: this item turns round and travels back the way the input came.

    in:  Ping(1)        out:  [Reply(Pong(1))]

    An inbound stage answers the wire with it, an outbound stage the client. It starts from the
    stage's own position, so it does not pass the stage's own other half.

    Args:
        item: what travels back; `Reply(END)` ends the other direction.
    """

    item: T_co


class End(enum.Enum):
    """The type of `END`, so that type checkers can tell it from every item."""

    END = "END"

    def __repr__(self) -> str:
        return "END"


END: Final = End.END
"""Among a stage's results: this direction ends here, after the items before it."""

Result: TypeAlias = Iterable[Out | Reply[Any] | End]  # no string: users write Result[str], and Python evaluates it
"""What `process` returns: any iterable, also a lazy one; `()` for "nothing yet", `[x]` for one item."""


class Host(Protocol):
    """What a stage can ask of that which it belongs to."""

    def held_below(self, stage: Stage[Any, Any], /) -> int | None: ...

    def input_paused(self) -> bool: ...


class _Unsaid(int):
    """As good as True, and can be told from a True that somebody said."""

    def __repr__(self) -> str:
        return "True"


_UNSAID: Final = _Unsaid(1)


class Stage(Generic[In, Out]):
    """One transform in one direction: subclass `Inbound` or `Outbound` and write `process`.

    in:  b"5"  b"x"        process(item) -> items        out:  5

    A stage which never waits defines `process_sync` instead and gets `process` for free.
    No subclass needs to call `super().__init__()`. What a stage declares is an attribute of
    its class, of the object, or a property.
    """

    name: str = "Stage"
    """How errors and drawings call the stage; the class's name unless set."""

    # Typed Any so that a subclass may use a plain attribute or a property; the comments give the types.
    ready: Any = _UNSAID
    """bool: False while a handshake runs that needs nobody's decision; a `send()` waits for it.

    A stage in which it ever changes says so on its class or in `__init__`, if only `ready = True`.
    """
    wants_input: Any = _UNSAID
    """bool, inbound only: while False the stage is not fed and nothing below it is read."""
    has_more: Any = True
    """bool, inbound only: whether `poll()` may give something now; while False it is not called, and that is faster."""
    end_waits: Any = True
    """bool: whether the end waits, too, while the stage is not ready or wants no input; False: only items do."""
    close_waits: Any = False
    """bool: closing in good order reads on while it is not ready: what was sent waits in it for the peer (HTTP/2)."""
    deadline: Any = None
    """float | None: when `on_timer` is due, in seconds on the pipeline's clock (`now()`).

    It is asked for whenever a call begins to wait for the transport or its turn, and not while nobody waits.
    """
    shareable: Any = False
    """bool: without state, so one object may serve many pipelines; start, finish and close are not called."""
    keeps_outbound_state: Any = True
    """bool, outbound only: whether having processed an item changes how the next one is processed."""
    is_tap: Any = False
    """bool: watches and changes nothing, so it may go in and out of a running pipeline."""
    is_trust_boundary: Any = False
    """bool: when it goes into a running chain, what was received before must not get behind it (TLS)."""
    end_is_told: Any = False
    """bool, inbound only: its peer tells it of the end, and an end of the wire alone is an error to it (WebSocket)."""
    peer_errors: Any = ()
    """tuple[type[Exception], ...], inbound only: what it raises for what the peer sent, and for nothing else.

    A server logs these in one line. `FrameError`, `LimitError` and `StageTimeoutError` need not be named.
    """
    watch: Any = None
    """Callable[[str, item], object] | None, taps only: what it does with an item, told the direction; it is faster.

    It is called instead of the tap's `process`, and what it raises is given to `watch_failed(error)`.
    """
    only_items: Any = False
    """bool: its results are items, never a `Reply` nor `END`; saying so makes it faster."""
    never_expands: Any = False
    """bool: what it gives for an item is never much more than that item was; saying so makes it faster."""
    holds: Any = None
    """int | None: how much of an unfinished input item it holds, in bytes or items; 0: nothing; None: does not say."""

    _clock: Callable[[], float] = staticmethod(time.monotonic)
    _host: Host | None = None  # what it belongs to, for good
    _call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    if not TYPE_CHECKING:  # the checkers are to see the subclass's own __init__ only

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            return remember_call(cls, args, kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        both = [name for name in _PROCESS if name in own]
        if len(both) > 1:
            raise TypeError(
                f"{cls.__qualname__} defines both {both[0]} and {both[1]}; keep process_sync if the stage never "
                f"waits, process_one if it gives one item for each as well, else `async def process`"
            )
        if "process_one" in own and _gives_no_item(own["process_one"]):
            raise TypeError(
                f"{cls.__qualname__}.process_one returns one item: it cannot be `async`, nor a generator. A stage "
                f"that waits defines `async def process`; one that gives any number of items, process_sync"
            )
        if inspect.iscoroutinefunction(own.get("close")):
            raise TypeError(f"{cls.__qualname__}.close must not wait: write `def close` without `async`")
        if "name" not in own:
            cls.name = cls.__name__
        kind = _kind(cls)
        if kind in ("process_sync", "process_one") and cls.process is not Stage.process:
            cls.process = Stage.process  # type: ignore[method-assign]
        if kind == "process_one" and cls.process_sync is not Stage.process_sync:
            cls.process_sync = Stage.process_sync  # type: ignore[method-assign]

    async def process(self, item: In, /) -> Result[Out]:
        """Turn one item into any number of results.

        Returns:
            An iterable of items, `Reply`s and `END`; it may be lazy, and is used up before the next call.

        Raises:
            Exception: the item cannot be processed. An inbound direction stays broken after it, an
                outbound one goes on if nothing was written.

        Cancellation: a `process` that raises `Cancelled` must not have changed anything; an inbound
        item is then offered again.
        """
        return self.process_sync(item)

    def process_sync(self, item: In, /) -> Result[Out]:
        """Do what `process` does, for a stage which never waits: define one of the two, not both."""
        return [self.process_one(item)]

    def process_one(self, item: In, /) -> Out:
        """Turn one item into one item, for a stage which always does: define this instead, and it is fastest.

        What is returned is the item itself, not a list.
        """
        raise NotImplementedError(f"{type(self).__qualname__} defines neither process nor process_sync")

    async def start(self) -> Result[Out]:
        """Begin: called once before any item moves, wire side first; may return items and replies."""
        return ()

    async def finish(self) -> Result[Out]:
        """End: called once when the input has ended cleanly; what is left comes out here, or is an error."""
        return ()

    def close(self) -> None:
        """Let go of what the stage holds: called once, however the pipeline ended; must not block."""

    def poll(self) -> Result[Out]:
        """Give inbound items that need no new input; called before the stage is fed or the wire read."""
        return ()

    async def on_timer(self, now: float, /) -> Result[Out]:
        """Act on the passed `deadline`, and move it: left in the past, it is an error.

        Cancellation: as of `process`, and it is called again: so move the deadline behind what waits.
        """
        return ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Give back the exact input that nobody has consumed yet, or None: cannot.

        Args:
            outputs: the items of the last returned list that were not taken.

        Returns:
            Input items that can be fed again, to this stage or another one; the stage is empty after it.
        """
        return None

    def watch_failed(self, error: Exception, /) -> None:
        """Act on what `watch` raised: raise it, or let the item pass."""
        raise error

    def now(self) -> float:
        """Return the seconds of the pipeline's clock, which `deadline` is measured on; ask it from `start()` on."""
        return self._clock()

    def held_below(self) -> int | None:
        """Return how much the inbound stages on the wire's side of this one hold, as far as they say (`holds`).

        More than 0: the peer has begun something, such as a frame, that has not come out. None: none of
        them says, as shareable ones need not; and outside a pipeline.
        """
        return None if self._host is None else self._host.held_below(self)

    def input_paused(self) -> bool:
        """Return whether some stage of the chain pauses (`wants_input` is False), so that the wire is not read.

        Then it says nothing about the peer that nothing comes from it. False outside a pipeline.
        """
        return self._host is not None and self._host.input_paused()

    def __repr__(self) -> str:
        return shown_call(self.name, self._call)

    def _called(self, method: str) -> str:
        """How an error calls a method: by what its author wrote."""
        return f"{self.name}.{method}()"

    def _other_remedy(self) -> str:
        """What else would make one item of one, beside a list."""
        return ""


_PROCESS: Final = ("process", "process_sync", "process_one")


def _kind(cls: type) -> str:
    """Which of the three methods counts: the one defined nearest to the class; "" for none."""
    for base in itertools.takewhile(lambda base: base is not Stage, cls.__mro__):
        for name in ("process_one", "process_sync"):
            if name in vars(base):
                return name
        if vars(base).get("process", Stage.process) is not Stage.process:
            return "process"
    return ""


def _gives_no_item(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)


def sync_process(stage: Stage[In, Out]) -> Callable[[In], Result[Out]] | None:
    """The stage's `process_sync` if it never waits, or None for a stage which may wait."""
    return stage.process_sync if _kind(type(stage)) in ("process_sync", "process_one") else None


def one_process(stage: Stage[In, Out]) -> Callable[[In], Out] | None:
    """The stage's `process_one`, or None for a stage which may give none or many."""
    return stage.process_one if _kind(type(stage)) == "process_one" else None


def is_generator(stage: Stage[Any, Any]) -> bool:
    """Whether calling the stage's `process_sync` does nothing yet: it runs while its results are taken."""
    return inspect.isgeneratorfunction(sync_process(stage))


def can_process(stage: Stage[Any, Any]) -> bool:
    """Whether the stage's class defines one of the three at all."""
    return bool(_kind(type(stage)))


def declares(stage: Stage[Any, Any], name: str) -> bool:
    """Whether the stage's class or the object itself says anything about `name`, if only what the default says.

    Only for `ready` and `wants_input`.
    """
    own = itertools.takewhile(lambda base: base is not Stage, type(stage).__mro__)
    if any(name in vars(base) for base in own) or getattr(stage, name) is not _UNSAID:
        return True
    # It may have been copied from a stage that says nothing. This asks for what the object has without asking for its
    # `__dict__`: an object that was asked for it is larger and slower for good.
    kept = gc.get_referents(stage)
    return any(each is _UNSAID or (type(each) is dict and name in each) for each in kept)


def results_of(stage: Stage[Any, Any], method: str, result: object) -> Iterator[Any]:
    """An iterator over what a stage returned.

    Raises:
        StageReturnError: the result is none of the allowed forms; the message shows the right one.
    """
    if isinstance(result, str | bytes | bytearray | memoryview | dict):
        unit = "character" if isinstance(result, str) else "key" if isinstance(result, dict) else "byte"
        raise StageReturnError(
            f"{stage._called(method)} returned {type(result).__name__}, which would be passed on one {unit} at a "
            f"time. If you meant one item, put it in a list: return [item]{stage._other_remedy()}"
        )
    if isinstance(result, Iterable):
        return iter(result)
    if inspect.iscoroutine(result):
        result.close()  # it is reported here; Python need not warn that nobody awaited it
    raise StageReturnError(f"{stage._called(method)} {_what_is_wrong(method, result, stage._other_remedy())}")


def _what_is_wrong(method: str, result: object, other_remedy: str) -> str:
    if result is None:
        return 'returned None. For "nothing yet" return (); for one item return [item]'
    if inspect.isasyncgen(result):
        return "is an async generator (`async def` with `yield`). Return the items: return [item], or a plain generator"
    if inspect.iscoroutine(result):
        remedy = {"process_sync": "A stage that waits defines `async def process`", "poll": "Define it without `async`"}
        return f"returned a coroutine. {remedy.get(method, 'Await it: return await ...')}"
    if isinstance(result, Reply | End):
        form = "Reply(...)" if isinstance(result, Reply) else "END"
        return f"returned {form} by itself. Put it in a list: return [{form}]"
    return f"returned {type(result).__name__}, which is no iterable of items. For one item: return [item]{other_remedy}"


def remember_call(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make an object which knows its arguments, so that a chain's `repr` shows it as it was written."""
    self = object.__new__(cls)
    if args or kwargs:
        if cls.__init__ is object.__init__:  # which takes none, but looks only where there is no __new__
            raise TypeError(f"{cls.__name__}() takes no arguments: it has no __init__")
        object.__setattr__(self, "_call", (args, kwargs or _NO_KEYWORDS))  # it may be a frozen dataclass
    return self


_NO_KEYWORDS: Final[dict[str, Any]] = {}
"""One for all calls: each empty dict is 64 bytes, of each stage of each connection."""


def shown_call(name: str, call: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    """`name(arguments)` as in the source, arguments shortened."""
    args, kwargs = call
    parts = [shown(value) for value in args]
    parts += [f"{key}={shown(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def shown(value: object) -> str:
    """A value as an argument in the source, shortened."""
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__qualname__.rpartition(".<locals>.")[2]
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."
