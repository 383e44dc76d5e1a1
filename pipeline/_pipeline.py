"""A chain attached to a transport: a trio channel of the client's items.

              inbound ─►
 transport  │ stage │ stage │ stage │  receive()
              ◄─ outbound              send()

Rules for this file: the public face only. Entering and closing is in `_lifetime`, items in `_receiving` and `_sending`;
what runs is `_core.Engine`; who runs it when is `_driver.Driver`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, cast

import trio
from typing_extensions import TypeVar

from ._chain import Duplex, Inbound, Outbound, Passthrough
from ._changing import change
from ._core import Engine
from ._driver import Driver
from ._receiving import Receiving
from ._sending import Sending
from ._stream import HalfCloseablePipelineStream, PipelineStream
from ._surgery import Cut, Leftover, check_leftover, insertion, replacement
from ._transport import Transport, Wire

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)

Piece: TypeAlias = Duplex[Any, Any, Any, Any] | Inbound[Any, Any] | Outbound[Any, Any] | Passthrough


class PipelineOptions(TypedDict, total=False):
    """What a `Pipeline` takes by keyword."""

    merge_writes: bool
    max_reply_bytes: int
    close_seconds: float
    show_items: bool


class Pipeline(Receiving[Received], Sending[Sent]):
    r"""A chain attached to a transport, as a trio channel; use it with `async with`.

    wire  b'{"id": 1}\n'  ─►  LineFramer() | JSONCodec()  ─►  receive() -> {"id": 1}

    The stages run inside the calls: there is no task and no queue, and what nobody receives is not
    read. One task may receive while others send.

    Args:
        transport: a trio stream or channel, one half of one, or two halves (receive_half, send_half).
        chain: the stages, from wire to client; they belong to this pipeline for good.
        merge_writes: a `send()` only buffers (up to 64 KiB) while no `receive()` waits for the
            transport; what is buffered goes out when one would wait, at `flush()` and at the end. Such a
            send notices cancellation and lets other tasks run at least once per 64 KiB or 1,000 sends.
        max_reply_bytes: how much of the stages' replies may wait for the peer to read them; beyond,
            the peer is not read either.
        close_seconds: how long closing in good order may take.
        show_items: whether notes on errors may show (a piece of) the item.

    Raises:
        TypeError: the transport is none of trio's kinds, or a piece of the chain is no stage.
        StageInUseError: a stage belongs to another pipeline already; the message shows a chain factory.
    """

    def __init__(
        self,
        transport: Transport,
        chain: Duplex[Any, Received, Sent, Any] | Inbound[Any, Received] | Outbound[Sent, Any] | Passthrough,
        *,
        merge_writes: bool = False,
        max_reply_bytes: int = 65536,
        close_seconds: float = 5,
        show_items: bool = True,
    ) -> None:
        wire = Wire(transport)
        engine: Engine[Received, Sent] = Engine(
            chain,
            clock=_clock,
            byte_wire=wire.takes_bytes,
            max_reply_bytes=max_reply_bytes,
            show_items=show_items,
        )
        super().__init__(engine, Driver(engine, wire, merge_writes=merge_writes), close_seconds=close_seconds)

    def __repr__(self) -> str:
        return f"<Pipeline {type(self.transport).__name__} | {self._engine.chain!r}>"

    @property
    def transport(self) -> Any:
        """What the pipeline reads from (or, if it cannot be read from, writes to)."""
        end = self._driver.wire.reader or self._driver.wire.writer
        assert end is not None
        return end.resource

    @property
    def chain(self) -> Any:
        """The chain, whose `repr` shows it as it was written."""
        return self._engine.chain

    @property
    def dropped_replies(self) -> int:
        """How many replies of stages came too late, after their direction had ended or broken."""
        return self._engine.dropped_replies

    @property
    def cut_send_goes_out(self) -> bool:
        """Whether the last `send()`, which was cancelled, has gone out, or was begun and the next write ends it."""
        return self._driver.kept_rest

    # ---- changing the chain

    async def insert(
        self,
        stage: Piece,
        *,
        before: object = None,
        after: object = None,
        at: Literal["wire", "client"] | None = None,
        leftover: Leftover | None = None,
    ) -> list[Any]:
        """Put a stage or a chain into the running chain.

        LineFramer() | TextCodec()      insert(Logger(), after=LineFramer)      LineFramer() | Logger() | TextCodec()

        It takes effect between two items. Everything that was received and not delivered, also what came
        in the same read, goes through the new chain, to the byte. A tap goes in without waiting for
        anybody, and sees what passes its place from then on.

        Args:
            stage: what goes in; it belongs to this pipeline for good, unless it is shareable.
            before: the stage on whose wire side it goes: the object, its name or its class.
            after: the stage on whose client side it goes. Of `before`, `after` and `at` one is given.
            at: "wire" or "client": the end of the chain where it goes.
            leftover: what becomes of what was received and not delivered. "forward": it goes through
                the new chain; "forbid": if there is any, the change is refused; "return": it is given
                to the caller. Default: "forbid" for a stage that is a trust boundary (TLS), else "forward".

        Returns:
            With leftover="return" a list of that, as it came to the place; else an empty one.

        Raises:
            SurgeryError: the place is not there, a stage cannot give back what it took, there was
                something that is forbidden, or `start()` failed; everything goes on as before.
            StageInUseError: the stage belongs to a pipeline already.
            trio.ClosedResourceError: the pipeline was closed.
            trio.BrokenResourceError: a direction that is to be changed is broken.
            Exception: the handshake of the new stage failed; both directions are broken.

        Cancellation: before `start()` is over it is as if nothing had been asked; a handshake that is cut
        short breaks both directions.
        """
        return await self._change(
            partial(insertion, self._engine, stage, before=before, after=after, at=at), leftover, finish=False
        )

    async def remove(self, stage: object, *, leftover: Leftover | None = None, finish: bool = False) -> list[Any]:
        """Take a stage out of the running chain, and close it.

        LineFramer() | Logger() | TextCodec()        remove(Logger)        LineFramer() | TextCodec()

        Args:
            stage: the object, its name or its class.
            leftover: as in `insert`.
            finish: whether the stage's `finish()` is called, and what it gives goes on both ways.

        Returns, Raises, Cancellation: as `insert`.
        """
        return await self._change(partial(replacement, self._engine, stage, None), leftover, finish=finish)

    async def replace(
        self, old: object, new: Piece, *, leftover: Leftover | None = None, finish: bool = False
    ) -> list[Any]:
        """Put a stage or a chain where another stage was: what follows goes through the new one, to the byte.

        LineFramer() | Logger()        replace(LineFramer, LengthFramer())        LengthFramer() | Logger()

        Args:
            old: the object, its name or its class; it is closed.
            new: what goes in its place.
            leftover: as in `insert`.
            finish: whether the old stage's `finish()` is called, and what it gives goes on both ways.

        Returns, Raises, Cancellation: as `insert`.
        """
        return await self._change(partial(replacement, self._engine, old, new), leftover, finish=finish)

    async def _change(self, plan: Callable[[], Cut], leftover: Leftover | None, *, finish: bool) -> list[Any]:
        check_leftover(leftover)
        if not self._entered:
            await self._enter()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._news.check_open()
        given = await change(self._driver, plan, leftover=leftover, finish=finish)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return given

    def _drain(self) -> None:
        """The server is going down: let the handler see the end of the stream when nothing has begun."""
        self._driver.drain()

    # ---- as a stream

    def as_stream(self) -> trio.abc.Stream:
        """This pipeline as a `trio.abc.Stream`, for a chain whose client items are bytes.

        items  b"ab"  b"cd"        receive_some(3)  ─►  b"ab"        receive_some(1)  ─►  b"c"

        It is a `trio.abc.HalfCloseableStream` where the transport can be half-closed. Closing it
        closes the pipeline; use one or the other.
        """
        kind = HalfCloseablePipelineStream if self._driver.wire.can_half_close else PipelineStream
        stream: trio.abc.Stream = kind(cast("Pipeline[bytes, bytes]", self), self._driver)
        return stream


def _clock() -> float:
    return trio.current_time()
