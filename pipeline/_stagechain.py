"""Stages in a row as one stage: so half a chain is tested like a stage alone. A pipeline takes it apart instead.

Rules for this file: all results are collected at once, stage by stage; `Reply` and `END` come out as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ._stage import END, Reply, Stage, results_of


class StageChain(Stage[Any, Any]):
    """What the halves of a chain are; they know their stages."""

    @abstractmethod
    def _in_order(self) -> tuple[Stage[Any, Any], ...]:
        """The stages in the order in which items come to them."""

    async def start(self) -> list[Any]:
        stages = self._in_order()
        first = [list(results_of(stage, "start", await stage.start())) for stage in stages]
        items: list[Any] = []
        for stage, results in zip(stages, first, strict=True):
            items = results + await _run_through([stage], items)
        return items

    async def process(self, item: Any, /) -> list[Any]:
        return await _run_through(self._in_order(), [item])

    async def finish(self) -> list[Any]:
        items: list[Any] = []
        for stage in self._in_order():
            items = await _run_through([stage], items)
            items += results_of(stage, "finish", await stage.finish())
        return items

    def close(self) -> None:
        for stage in self._in_order():
            stage.close()


async def _run_through(stages: Sequence[Stage[Any, Any]], items: list[Any]) -> list[Any]:
    for stage in stages:
        results: list[Any] = []
        for item in items:
            turned = isinstance(item, Reply) or item is END
            results += [item] if turned else results_of(stage, "process", await stage.process(item))
        items = results
    return items
