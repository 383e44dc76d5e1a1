"""A pipeline of bytes as a `trio.abc.Stream`."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from ._driver import Driver

if TYPE_CHECKING:
    from ._pipeline import Pipeline


class PipelineStream(trio.abc.Stream):
    """See `Pipeline.as_stream`.

    Args:
        pipeline: whose client items are bytes.
        driver: the pipeline's.
    """

    def __init__(self, pipeline: Pipeline[bytes, bytes], driver: Driver) -> None:
        self._pipeline, self._driver = pipeline, driver
        self._unread = memoryview(b"")
        self._sending = self._receiving = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes as one item; see `Pipeline.send` for errors and cancellation."""
        with self._sends():
            if len(data):
                await self._pipeline.send(bytes(data))
            else:
                await self._pipeline.flush()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the transport takes more."""
        with self._sends():
            driver, writer = self._driver, self._driver.wire.writer
            driver.news.check_open()
            await trio.lowlevel.checkpoint()
            while driver.writing:
                await driver.news.wait()
            if writer is None or driver.engine.outbound_error is not None:
                return
            with driver.has_wire():
                await driver.news.until_closed(writer.wait_room)
            if driver.engine.owes_replies:  # whoever receives could not write them meanwhile
                driver.engine.on_news()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return some bytes, b"" at the end of the stream; see `Pipeline.receive`."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes is {max_bytes}; it must be 1 or more")
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this stream")
        self._receiving = True
        try:
            return await self._receive(max_bytes)
        finally:
            self._receiving = False

    async def _receive(self, max_bytes: int | None) -> bytes:
        self._driver.news.check_open()
        if self._unread:
            await trio.lowlevel.checkpoint()
        while not self._unread:  # an empty item is no end of the stream
            try:
                self._unread = memoryview(await self._pipeline.receive())
            except trio.EndOfChannel:
                await trio.lowlevel.checkpoint()
                return b""
        size = len(self._unread) if max_bytes is None else max_bytes
        data, self._unread = self._unread[:size], self._unread[size:]
        return bytes(data)

    async def aclose(self) -> None:
        """Close the pipeline."""
        await self._pipeline.aclose()

    @contextmanager
    def _sends(self) -> Iterator[None]:
        if self._sending:
            raise trio.BusyResourceError("another task is sending to this stream")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False


class HalfCloseablePipelineStream(PipelineStream, trio.abc.HalfCloseableStream):
    """See `Pipeline.as_stream`: over a transport that can be half-closed."""

    async def send_eof(self) -> None:
        """End outbound; see `Pipeline.send_eof`."""
        with self._sends():
            await self._pipeline.send_eof()
