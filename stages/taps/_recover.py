"""Items that a stage cannot process become the caller's decision: `recover`."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar, cast, overload

from pipeline import Duplex, FrameError, Inbound, Outbound, Passthrough, Result, Stage, StageReturnError

from ._check import check_functions

__all__ = ["recover"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

_EAGER = (list, tuple, str, bytes, bytearray, memoryview)

Handler: TypeAlias = "Callable[[Any, Exception], Result[Any]]"


@overload
def recover(stage: Inbound[A, B], handler: Callable[[A, Exception], Result[B]]) -> Inbound[A, B]: ...
@overload
def recover(stage: Outbound[A, B], handler: Callable[[A, Exception], Result[B]]) -> Outbound[A, B]: ...
@overload
def recover(stage: Duplex[A, B, C, D], handler: Handler) -> Duplex[A, B, C, D]: ...
@overload
def recover(stage: Passthrough, handler: Handler) -> Passthrough: ...
def recover(stage: Any, handler: Handler) -> Any:
    """Make the errors of a stage's `process` skippable: the handler says what comes out instead.

    in:  b"1"  b"?"  b"2"        recover(JSONCodec(), lambda item, error: ["bad"])        out:  1  "bad"  2

    In everything else the result is the stage that was given: it has its name, its methods, its
    attributes and its state (so that `framer.skipped` of the one is that of the other), and one that
    never waits still never does. Of a duplex both halves are made so.

    Args:
        stage: an inbound, outbound or duplex stage; not a chain.
        handler: called with the item and the error; returns the items that come out in its place, `()`
            for none, or raises. Also called when a lazy result fails half-way: what came before is out, and
            what would have come behind comes only from an iterator with the attribute `goes_on = True`.

    Raises:
        FrameError: is never handed to the handler: behind it nobody knows where the next item begins.
        TypeError: at once: no stage, a chain, or a handler that is no plain function.
        StageReturnError: the handler returned no iterable of items.
    """
    check_functions("recover", handler=handler)
    if isinstance(getattr(stage, "parts", None), tuple):
        raise TypeError(
            f"recover() takes one stage, not the chain {stage!r}: what came of an item before the error would be lost. "
            f"Wrap the stage that raises: ... | recover(JSONCodec(), handler) | ..."
        )
    if isinstance(stage, Stage):
        return _recovering(stage, handler)
    if isinstance(stage, Duplex | Passthrough):
        halves = {
            side: half if half is None else _recovering(half, handler)
            for side, half in (("inbound", stage.inbound), ("outbound", stage.outbound))
        }
        others = {name: value for name, value in vars(stage).items() if name not in halves}
        return _variant(stage, halves, others, handler)
    raise TypeError(f"recover() takes a stage, as in recover(JSONCodec(), handler), not {stage!r}")


# The handler may return anything, whatever the stage says of itself; a property counts before what the stage has set.
_NOTHING_SAID: dict[str, Any] = {
    "only_items": property(lambda self: False),
    "never_expands": property(lambda self: False),
    "watch": property(lambda self: None),
    "peer_errors": property(lambda self: ()),
}


def _recovering(stage: Stage[Any, Any], handler: Handler) -> Any:
    recovery = _Recovery(stage, handler)
    # A class whose stage never waits has Stage's own `process`.
    never_waits = type(stage).process is Stage.process
    method = {"process_sync": recovery.process_sync} if never_waits else {"process": recovery.process}
    # Static: it needs the recovery, not the variant, whose attributes are the stage's.
    calls = {name: staticmethod(call) for name, call in method.items()}
    return _variant(stage, {**_NOTHING_SAID, **calls}, vars(stage), handler)


def _variant(piece: Any, namespace: dict[str, Any], attributes: dict[str, Any], handler: Handler) -> Any:
    """An object of a subclass of the piece's class made for it, with these attributes.

    A half shares its attributes' very dict with the half that was given. So whatever looks at the one or
    the other, a stage's own methods, the pipeline's marks, a duplex whose halves know each other, sees the same.
    """
    cls = type(piece)
    if any(isinstance(member, types.MemberDescriptorType) for base in cls.__mro__ for member in vars(base).values()):
        raise TypeError(f"recover({piece!r}): {cls.__qualname__} has __slots__, which cannot be shared; remove them")
    shown = f"recover({piece!r}, {_name_of(handler)})"
    body = {"name": piece.name, "__module__": cls.__module__, "__repr__": lambda self: shown, **namespace}
    variant: Any = object.__new__(type(cls.__name__, (cls,), body))
    variant.__dict__ = attributes
    return variant


class _Recovery:
    """What the stage's `process` does, or what the handler says instead."""

    def __init__(self, stage: Stage[Any, Any], handler: Handler) -> None:
        self._stage, self._handler = stage, handler

    def process_sync(self, item: Any, /) -> Result[Any]:
        try:
            result = self._stage.process_sync(item)
        except FrameError:
            raise
        except Exception as error:
            return self._handled(item, error)
        return self._guarded(item, result)

    async def process(self, item: Any, /) -> Result[Any]:
        try:
            result = await self._stage.process(item)
        except FrameError:
            raise
        except Exception as error:
            return self._handled(item, error)
        return self._guarded(item, result)

    def _handled(self, item: Any, error: Exception) -> Result[Any]:
        result: object = self._handler(item, error)
        if isinstance(result, Iterable) and not isinstance(result, str | bytes | bytearray | memoryview):
            return result
        raise StageReturnError(
            f"the handler {_name_of(self._handler)} of recover({self._stage!r}) returned {type(result).__name__}, "
            f"which is no iterable of items. To skip the item: return (); for one item: return [item]"
        ) from error

    def _guarded(self, item: Any, result: object) -> Result[Any]:
        """The result, which may yet raise where it is lazy; what is no result is for the pipeline to refuse."""
        if isinstance(result, _EAGER) or not isinstance(result, Iterable):
            return cast("Result[Any]", result)
        return self._lazily(item, result)

    def _lazily(self, item: Any, result: Iterable[Any]) -> Iterator[Any]:
        results = iter(result)
        while True:
            try:
                yield from results
            except FrameError:
                raise
            except Exception as error:
                yield from self._handled(item, error)
                # A generator is over with its error. Others might raise the same one for ever: they have to say so.
                if getattr(results, "goes_on", False):
                    continue
            return


def _name_of(handler: Handler) -> str:
    name: str = getattr(handler, "__name__", type(handler).__name__)
    return name
