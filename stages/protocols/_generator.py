"""`FromGenerator`: a stage of a generator that parses a byte stream, or speaks a protocol.

Here it is run as one that asks for what it needs; `_generator_kinds.py` makes the other kinds such ones.

Rules for this file: a generator is run only for the next result that somebody wants, so that what follows an item is
still here when the chain changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Any, Final, Generic, Literal

from typing_extensions import TypeVar

from pipeline import END, FrameTooLongError, Inbound, IncompleteFrameError, Reply, Result, StageReturnError

from .._arguments import check_choice, check_size
from .._bytes import BytesLike, as_bytes
from ._generator_kinds import Given, Parser, Unused, steps_of

__all__ = ["FromGenerator"]

Item = TypeVar("Item", default=Any)

_DEFAULT_BYTES: Final = 65536
_LEAST: Final = 64
_NOTHING_ASKED: Final = object()
_NOT_YET: Final = object()


class FromGenerator(Inbound[BytesLike, Item], Generic[Item]):
    r"""A stage of a generator: it asks for bytes as it needs them, and gives items and replies.

    in:  b"\x00\x03ab"  b"c\x00\x01d"        out:  b"abc"  b"d"

        def frames():
            while True:
                (size,) = struct.unpack(">H", (yield 2))    # an int: exactly so many bytes
                yield [(yield size)]                        # a list: items, and `Reply(...)`s

    `yield b"\n"` asks for everything up to and with these bytes, a bare `yield` for what has come, at least a byte. A
    list, a `Reply` or `END` is a result, and answered with None. What it returns, if not None, is the last item; then
    nothing more is read, and `await pipeline.replace(FromGenerator, ...)` gives the next stage exactly what follows.

    At the end of the stream a bare `yield` is answered with `b""`, once. What is sent passes as it is.

    Args:
        parser: a generator function without arguments, a generator, or a protocol of ohneio (called or not).
        push: the generator is pushed what came: `data = yield items`. It is sent `b""` at the end of the stream, and
            may return `(items, rest)`: the last items, and the bytes that it did not use.
        repeat: begin again when it has returned: one run makes one item. It needs a function, to be called again.
        then: what happens when it has returned: "pause", nothing more is read until another stage is in its place; or
            "end", the stream ends for the client.
        max_bytes: the most bytes that it may take, or ask for, without giving a result.

    Raises:
        FrameTooLongError: it asks for more than `max_bytes`; after the items before it. The stage stays failed.
        IncompleteFrameError: the stream ended while it waits for more; `leftover` has what it took since the last
            result, and what else came.
        StageReturnError: it yielded something else; the stage stays failed.
        Exception: what the generator raises, behind what it yielded before; the stage stays failed.
    """

    wants_input = True

    def __init__(
        self,
        parser: Callable[[], Parser] | Parser,
        *,
        push: bool = False,
        repeat: bool = False,
        then: Literal["pause", "end"] = "pause",
        max_bytes: int = _DEFAULT_BYTES,
    ) -> None:
        check_choice("FromGenerator", "then", then, ("pause", "end"))
        check_size("FromGenerator", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        if repeat and not callable(parser):
            raise TypeError(
                f"{self!r}: to repeat it needs the function, which it calls again and again, and not the "
                f"{type(parser).__name__} that one call made: FromGenerator(read_message, repeat=True)"
            )
        self._parser, self._push, self._repeat, self._then = parser, push, repeat, then
        self._max_bytes = max_bytes
        self._buffer, self._at = bytearray(), 0  # what came, and how far the generator has taken it
        self._scanned = 0  # so far it has no delimiter
        self._taken = bytearray()  # what it took since its last result
        self._results: Iterator[Any] = iter(())
        self._failure: Exception | None = None
        self._ended = self._told = False
        self._begin()

    # ---- the contract

    async def start(self) -> Result[Item]:
        """Run the generator to where it first asks; what it says before, such as a greeting, goes out."""
        return self._run()

    def process_sync(self, data: BytesLike, /) -> Result[Item]:
        """Give the generator what it asks for, as far as it is there, and its results, lazily."""
        self._check()
        del self._buffer[: self._at]
        self._scanned -= self._at
        self._at = 0
        self._buffer += data if type(data) is bytes else as_bytes("FromGenerator", data)
        return self._run()

    async def finish(self) -> Result[Item]:
        """End of the stream: the generator is told, if it can be, and must not be in the middle of something."""
        self._check()
        self._ended = True
        return self._run_to_the_end()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back what the generator has not taken; None while it is in the middle of something."""
        inside = self._taken or (self._push and self._drawn and not self._gave_rest)
        if list(outputs) or inside or self._failure is not None or length_hint(self._results):
            return None
        rest = bytes(self._buffer[self._at :])
        self._buffer, self._at, self._scanned = bytearray(), 0, 0
        return [rest] if rest else []

    @property
    def holds(self) -> int:
        """Bytes that no result has come of, as far as can be known of a generator."""
        return len(self._taken) + len(self._buffer) - self._at

    def close(self) -> None:
        """Close the generator, which may clean up."""
        self._steps.close()

    # ---- running

    def _begin(self) -> None:
        self._steps = steps_of(self, self._parser, push=self._push)
        self._wish: Any = _NOTHING_ASKED
        self._drawn = 0  # bytes that it took in all
        self._gave_rest = False

    def _run(self) -> Iterator[Any]:
        try:
            while self.wants_input and (answer := self._answer()) is not _NOT_YET:
                self._results = iter(self._step(answer))
                yield from self._results
        except Exception as error:
            self._failure = error
            raise

    def _run_to_the_end(self) -> Iterator[Any]:
        yield from self._run()
        rest = bytes(self._taken + self._buffer[self._at :])
        if rest:
            self._failure = IncompleteFrameError(
                f"{self!r}: the stream ended, and the generator waits for more behind {len(rest)} bytes", leftover=rest
            )
            raise self._failure

    def _step(self, answer: Any) -> Sequence[Any]:
        try:
            said = self._steps.send(answer)
        except StopIteration as stop:
            return self._returned(stop.value)
        self._wish = _NOTHING_ASKED
        if said is None or isinstance(said, int | bytes):
            self._wish = self._checked(said)
            return ()
        if isinstance(said, Unused):
            self._put_back(said.data)
            return ()
        if isinstance(said, Given):
            return self._gives(said.results, said.held)
        return self._gives(self._listed(said), 0)

    def _gives(self, results: Sequence[Any], held: int) -> Sequence[Any]:
        if results:
            del self._taken[: len(self._taken) - held]
        return results

    def _listed(self, said: Any) -> Sequence[Any]:
        if type(said) is list or type(said) is tuple:
            return said
        if said is END or isinstance(said, Reply):
            return (said,)
        raise StageReturnError(
            f"{self!r} yielded {type(said).__name__}. For an item: yield [item]; to write: yield Reply(b'...'); to "
            f"ask: yield 4 for so many bytes, yield b'\\n' for all up to that, a bare yield for what has come"
        )

    def _returned(self, value: Any) -> Sequence[Any]:
        results: list[Any] = [] if value is None else [value]
        self._taken.clear()
        if not self._repeat or self._told:
            self.wants_input = False
            return [*results, END] if self._then == "end" and not self._ended else results
        if not self._drawn:
            raise StageReturnError(
                f"{self!r} returned without having taken a byte, and would do so for ever with repeat=True"
            )
        self._begin()
        return results

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    # ---- asking

    def _checked(self, wish: Any) -> Any:
        if isinstance(wish, bool) or wish == b"" or (isinstance(wish, int) and wish < 0):
            raise StageReturnError(f"{self!r} asked for {wish!r}: it may be a number, 0 or more, or bytes to find")
        if isinstance(wish, int) and wish > self._room:
            raise self._too_long(len(self._taken) + wish)
        return wish

    def _answer(self) -> Any:
        """What the generator is to be sent, or that it is not there yet."""
        wish, size = self._wish, len(self._buffer) - self._at
        if wish is _NOTHING_ASKED:
            return None
        if wish is None:
            return self._what_has_come(size)
        count = wish if isinstance(wish, int) else self._end_of(wish)
        return _NOT_YET if count is None or size < count else self._take(count)

    def _what_has_come(self, size: int) -> Any:
        if size and not self._room:
            raise self._too_long(self._max_bytes + 1)
        if size:
            # One that begins again gives back what follows its item: that is not to be much more than the item.
            most = max(_LEAST, len(self._taken)) if self._repeat else size
            return self._take(min(size, self._room, most))
        if not self._ended or self._told:
            return _NOT_YET
        self._told = True
        return b""

    def _end_of(self, mark: bytes) -> int | None:
        found = self._buffer.find(mark, max(self._at, self._scanned))
        size = len(self._buffer)
        # Where it is not there, it ends one byte further on, at least.
        end = (size + 1 if found < 0 else found + len(mark)) - self._at
        if end > self._room:
            raise self._too_long(self._max_bytes + 1)
        self._scanned = size - len(mark) + 1
        return None if found < 0 else end

    def _take(self, count: int) -> bytes:
        end = self._at + count
        data = bytes(self._buffer[self._at : end])
        self._at, self._scanned = end, 0
        self._taken += data
        self._drawn += count
        return data

    def _put_back(self, data: bytes) -> None:
        start = self._at - len(data)
        if start < 0 or self._buffer[start : self._at] != data:
            self._buffer[: self._at] = data
            start = 0
        self._at, self._scanned = start, 0
        self._drawn -= len(data)
        self._gave_rest = True
        self._taken.clear()

    @property
    def _room(self) -> int:
        return self._max_bytes - len(self._taken)

    def _too_long(self, size: int) -> FrameTooLongError:
        return FrameTooLongError(
            f"{self!r}: at least {size} bytes without a result are over the limit, max_bytes={self._max_bytes}. Raise "
            f"max_bytes if they are right ones",
            limit=self._max_bytes,
            size=size,
        )
