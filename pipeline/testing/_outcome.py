"""What a framer made of its input, in a form that can be compared; and how one stage is driven by hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._chain import Inbound
from .._stage import Stage, results_of
from ._bench import AnyChain
from ._harness import Harness

Factory: TypeAlias = Callable[[], AnyChain]
"""What makes a fresh stage or chain for each try: a class, or `lambda: LineFramer(max_bytes=5)`."""


@dataclass(frozen=True)
class Outcome:
    """Frames, then how it ended."""

    frames: list[Any]
    error: Exception | None

    @property
    def leftover(self) -> bytes | None:
        """The bytes that the error carries."""
        leftover: bytes | None = getattr(self.error, "leftover", None)
        return leftover

    def same_as(self, other: Outcome) -> bool:
        """Whether a user could see no difference: frames, kind of error, bytes left over."""
        return (
            self.frames == other.frames
            and [*map(type, self.frames)] == [*map(type, other.frames)]
            and type(self.error) is type(other.error)
            and self.leftover == other.leftover
        )

    def __str__(self) -> str:
        left = "" if self.leftover is None else f", leftover {self.leftover!r}"
        end = f", then {type(self.error).__name__}: {self.error}{left}" if self.error else ""
        return f"{self.frames!r:.500}{end}"


def refuse_object(factory: object, right: str = "lambda: {}") -> None:
    """Refuse a stage where a factory of stages is wanted: each try has a fresh one, as a pipeline has."""
    if not callable(factory):
        raise TypeError(f"each try needs a fresh stage, so give a function that makes one: {right.format(factory)}")


def outcome_of(factory: Factory, pieces: Iterable[Any]) -> Outcome:
    """Feed the pieces and the end of the stream to a fresh chain."""
    with Harness(factory()) as harness:
        try:
            for piece in pieces:
                harness.receive(piece)
            harness.finish()
        except Exception as error:
            return Outcome(harness.received, error)
        return Outcome(harness.received, None)


def name_of(factory: Factory) -> str:
    """How a failure shows what was checked: the chain as it is written."""
    return repr(factory())


def inbound_half(chain: AnyChain) -> Stage[Any, Any]:
    """The inbound stage of what a factory made."""
    stage = chain if isinstance(chain, Inbound) else getattr(chain, "inbound", None)
    if stage is None:
        raise TypeError(f"{chain!r} has no inbound half to check")
    return stage


def run_now(call: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that does not wait; used to drive one stage by hand."""
    try:
        call.send(None)
    except StopIteration as stop:
        return stop.value
    call.close()
    raise RuntimeError("the stage waits; this check is for stages that never do")


def results(stage: Stage[Any, Any], item: Any) -> Any:
    """An iterator over what `process(item)` gives."""
    return results_of(stage, "process", run_now(stage.process(item)))
