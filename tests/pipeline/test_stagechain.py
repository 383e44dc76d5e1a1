"""A chain in a test: its halves are stages."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import (
    END,
    Duplex,
    Reply,
    StageReturnError,
)
from tests.pipeline.engines import In, Out, marking, run


def test_each_half_of_a_chain_can_be_tried_alone() -> None:
    """All results at once, in the order of the flow; replies and ends come out as they are."""
    chain = marking("a") | Duplex(In(lambda _, item: [item, Reply("r"), item, END]), Out()) | marking("b")

    assert ["xab", Reply("r"), "xab", END] == list(run(chain.inbound.process("x")))
    assert ["xba"] == list(run(chain.outbound.process("x")))


class Lives(In):
    """Notes what is done to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(lambda _, item: [f"{item}{name}"])
        self.name, self.log = name, log

    async def start(self) -> list[Any]:
        self.log.append(f"start {self.name}")
        return [f"s{self.name}"]

    async def finish(self) -> list[Any]:
        self.log.append(f"finish {self.name}")
        return [f"f{self.name}"]

    def close(self) -> None:
        self.log.append(f"close {self.name}")


def test_a_chains_life_is_that_of_its_stages() -> None:
    """Started, finished and closed in the order of the flow; what one gives the next processes."""
    log: list[str] = []
    chain = Lives("a", log) | Lives("b", log)

    assert ["sb", "sab"] == run(chain.start())
    assert ["fab", "fb"] == run(chain.finish())
    chain.close()
    assert ["start a", "start b", "finish a", "finish b", "close a", "close b"] == log


def test_wrong_results_are_refused_in_a_chain_in_a_test_too() -> None:
    """With the stage's name, whichever method it was."""

    class WrongFinish(In):
        async def finish(self) -> Any:
            return "text"

    with pytest.raises(StageReturnError, match=r"WrongFinish.finish\(\) returned str"):
        run((In() | WrongFinish()).finish())
    with pytest.raises(StageReturnError, match=r"In.process\(\) returned None"):
        run((In() | In(lambda _, item: None)).process(1))
