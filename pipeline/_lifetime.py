"""What every call on a pipeline needs: that it was entered, and that it is not closed."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import trio

from ._closing import add_notes, close
from ._core import Engine
from ._driver import Driver


class Lifetime:
    """A chain attached to a transport, which is entered, and closed once.

    Args:
        engine: the chain, running.
        driver: who runs it when.
        close_seconds: how long closing in good order may take.
    """

    def __init__(self, engine: Engine[Any, Any], driver: Driver, *, close_seconds: float) -> None:
        self._engine, self._driver, self._news = engine, driver, driver.news
        self._close_seconds = close_seconds
        self._entering = self._entered = False
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start the stages; ends when every one is ready, or an item for the client is there.

        Cancellation, and any error: stages and transport are closed.
        """
        await self._enter()
        return self

    async def _enter(self) -> None:
        while self._entering:
            await self._news.wait()
        self._news.check_open()
        if self._entered:
            return
        self._entering = True
        try:
            await self._driver.enter()
            self._entered = True
        except BaseException as error:
            await self._close_after(error)
            raise
        finally:
            self._entering = False
            self._news.tell()

    if not TYPE_CHECKING:  # the checkers are to refuse it

        def __enter__(self) -> NoReturn:
            raise TypeError("a Pipeline is closed asynchronously: write `async with`, not `with`")

        __exit__ = __enter__  # `with` looks for it first, and never calls it

        def __iter__(self) -> NoReturn:
            raise TypeError("a Pipeline is received from asynchronously: write `async for`, not `for`")

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; in good order if the block ended well."""
        if exc_value is None:
            await self.aclose()
        else:
            await self._close_after(exc_value)

    async def _close_after(self, error: BaseException) -> None:
        """Close because of an error, which stays the one that is raised."""
        try:
            await self._close(graceful=False)
        except* trio.Cancelled:  # also in the group of a transport's nursery
            pass  # closed at once; the error is what the block ends with
        except* Exception as failed:
            add_notes(error, failed.exceptions)

    async def aclose(self) -> None:
        """Close: the stages finish, what is buffered is written, then stages and transport are closed.

        Other tasks that use the pipeline get `trio.ClosedResourceError` at once. A second call does nothing.

        Raises:
            Exception: what went wrong first, the rest as notes; everything is closed nevertheless.
            trio.BrokenResourceError: the peer did not take within `close_seconds` what was sent before.

        Cancellation: everything is closed at once, without finishing.
        """
        await self._close(graceful=True)

    async def _close(self, *, graceful: bool) -> None:
        if self._news.closed:
            while not self._closed:
                await self._news.changed()
            await trio.lowlevel.checkpoint()
            return
        try:
            await close(self._driver, graceful=graceful and self._entered, seconds=self._close_seconds)
        finally:
            self._closed = True
            self._news.tell()
