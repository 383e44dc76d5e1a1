"""The kinds of generators that `FromGenerator` takes, and how each becomes one that asks.

A generator that asks for what it needs is how much of this is written: construct's and iofree's parsers, the stream
reader of websockets, binary-parse-stream for Node ("when your generator yields a number, it'll be fed a buffer of that
length"). Others are pushed what came (David Beazley's coroutines), and ohneio has objects of its own: these two kinds
stand behind a small generator each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from pipeline import End, Reply, StageReturnError

__all__ = ["Given", "Parser", "Steps", "Unused", "steps_of"]

Steps: TypeAlias = Generator[Any, Any, Any]

_MANY: Final = 64


class Consumer(Protocol):
    """A running protocol of ohneio, as `@ohneio.protocol` makes it."""

    gen: Any
    input: Any
    output: Any

    @property
    def has_result(self) -> bool: ...
    @property
    def get_result(self) -> Callable[[], Any]: ...
    @property
    def read(self) -> Callable[[], bytes]: ...
    @property
    def send(self) -> Callable[[bytes], None]: ...


Parser: TypeAlias = Steps | Consumer


@dataclass(frozen=True)
class Given:
    """Results, and how many of the last bytes taken no result has come of."""

    results: list[Reply[bytes] | End]
    held: int


@dataclass(frozen=True)
class Unused:
    """Bytes that were taken and are given back."""

    data: bytes


def steps_of(stage: object, parser: Callable[[], Parser] | Parser, *, push: bool) -> Steps:
    """Return a generator that asks, not begun yet.

    Args:
        stage: who wants it, for messages.
        parser: what the stage was made with.
        push: whether it is pushed what came.
    """
    made: Any = parser() if callable(parser) else parser
    if hasattr(made, "get_result"):
        return _speaking(made)
    if not isinstance(made, Generator):
        raise TypeError(f"{stage!r}: must be a generator, or a function that makes one; it is {made!r}")
    if inspect.isgenerator(made) and inspect.getgeneratorstate(made) != inspect.GEN_CREATED:
        raise ValueError(f"{stage!r}: the generator was begun already; give one that was not, or the function")
    return _pushed(made) if push else made


def _pushed(parser: Steps) -> Steps:
    """A generator that is pushed what came."""
    items: Any = ()
    rest = b""
    try:
        said = next(parser)
        while True:
            if isinstance(said, int | bytes):
                raise StageReturnError(
                    f"FromGenerator(push=True): the generator yielded {said!r}, and one that is pushed what came "
                    f"cannot ask: yield [item], or leave push=True out"
                )
            yield () if said is None else said
            said = parser.send((yield))
    except StopIteration as stop:
        items, rest = _last(stop.value)
    finally:
        parser.close()
    yield Unused(rest)
    yield items


def _last(value: Any) -> tuple[Any, bytes]:
    """What a generator that is pushed what came returned, as items and bytes."""
    if value is None:
        return (), b""
    if type(value) is tuple and len(value) == 2 and isinstance(value[1], bytes | bytearray):
        return value[0], bytes(value[1])
    raise StageReturnError(
        f"FromGenerator(push=True): the generator returned {type(value).__name__}. It may return the last items and "
        f"the bytes that it did not use: return items, rest"
    )


def _speaking(protocol: Consumer) -> Steps:
    """A protocol of ohneio."""
    data = b""
    try:
        while True:
            try:
                if data:
                    protocol.send(data)
                written = protocol.read()
            except Exception:
                yield _replies(protocol.output.read())
                raise
            if inspect.getgeneratorstate(protocol.gen) == inspect.GEN_CLOSED:
                break
            yield Given(_replies(written), held=len(protocol.input))
            # ohneio counts what it has piece by piece, each time: thousands of them would cost too much.
            if len(protocol.input.queue) > _MANY:
                protocol.input.write(protocol.input.read())
            data = yield
    finally:
        protocol.gen.close()
    yield Unused(protocol.input.read())
    yield _replies(written)
    return protocol.get_result() if protocol.has_result else None


def _replies(written: bytes) -> list[Any]:
    return [Reply(written)] if written else []
