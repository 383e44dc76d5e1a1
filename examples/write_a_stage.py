r"""Write a stage: as a function, then as a class, then as two halves that share what they know.

    python examples/write_a_stage.py

Each is shown alone first, in a `Harness`, where nothing waits and nothing listens; then all of them in one chain,
over a real socket. How to test them: examples/test_a_stage.py.
"""

from __future__ import annotations

import trio

from pipeline import Codec, Inbound, IncompleteFrameError, Outbound, Pipeline, Reply, Result, inbound
from pipeline.testing import Harness
from stages import LineFramer, TextCodec

# ---- 1. A function: it is called with each item, and returns any number of items.


@inbound
def drop_comments(line: str) -> list[str]:
    """Take out comments.

    in:  "# nothing yet"  "tea"        out:  "tea"
    """
    return [] if line.startswith("#") else [line]


# ---- 2. A class: it remembers, and it is told of the end.


class Unfold(Inbound[str, str]):
    r"""Join each line that ends in a backslash with the next one.

    in:  "tea, \"  "milk"        out:  "tea, milk"

    Args:
        max_chars: The longest joined line; a peer must not fill the memory with what never ends.

    Raises:
        ValueError: a joined line is over `max_chars`.
        IncompleteFrameError: the stream ended behind a backslash; `leftover` has what was joined, in UTF-8.
    """

    def __init__(self, max_chars: int = 10_000) -> None:
        self._max_chars = max_chars
        self._begun: str | None = None  # an empty line may be begun, too

    # A stage that never waits has `process_sync`; one that must wait has `async def process` instead.
    def process_sync(self, item: str, /) -> Result[str]:
        line = (self._begun or "") + item.removesuffix("\\")
        if len(line) > self._max_chars:
            raise ValueError(f"a line of {len(line)} characters is over the limit, max_chars={self._max_chars}")
        if item.endswith("\\"):
            self._begun = line
            return ()  # nothing yet
        self._begun = None
        return [line]

    async def finish(self) -> Result[str]:
        """Refuse to let something look complete that was cut off."""
        if self._begun is not None:
            raise IncompleteFrameError("the stream ended behind a backslash", leftover=self._begun.encode())
        return ()


# ---- 3. Two halves: one numbers what goes out, the other acknowledges what comes in. Your code sees neither.


class Number(Outbound[str, str]):
    """Number the lines that go out.

    in:  "tea"  "milk"        out:  "1 tea"  "2 milk"
    """

    def __init__(self, unheard: dict[int, str]) -> None:
        self._unheard = unheard
        self._count = 0

    def process_sync(self, item: str, /) -> Result[str]:
        self._count += 1
        self._unheard[self._count] = item
        return [f"{self._count} {item}"]


class Acknowledge(Inbound[str, str]):
    """Answer each numbered line, and strike out what the peer has heard.

    in:  "1 tea"  "heard 7"        out:  Reply("heard 1")  "tea"

    Raises:
        ValueError: a line without a number.
    """

    def __init__(self, unheard: dict[int, str]) -> None:
        self._unheard = unheard

    def process_sync(self, item: str, /) -> Result[str]:
        word, _, rest = item.partition(" ")
        if word == "heard":
            self._unheard.pop(int(rest), None)
            return ()
        # A reply turns round right here, so it does not pass the other half: what acknowledges is not numbered.
        return [Reply(f"heard {int(word)}"), rest]


class Acknowledged(Codec[str, str]):
    """Both halves as one stage.

    Attributes:
        unheard: What was sent and is not yet acknowledged, by number.
    """

    def __init__(self) -> None:
        self.unheard: dict[int, str] = {}  # the halves share it; neither is ever interrupted in mid-call
        super().__init__(Acknowledge(self.unheard), Number(self.unheard))


# ---- each alone, then all in a chain


def show_each() -> None:
    print(f"{drop_comments!r}:", Harness(drop_comments).receive("# to buy", "tea"))
    print(f"{Unfold()!r}:", Harness(Unfold()).receive("tea, \\", "milk"))
    acknowledged = Acknowledged()
    harness = Harness(acknowledged)
    print(f"{acknowledged!r}:")
    print(f"  sends {harness.send('tea', 'milk')}, unheard {acknowledged.unheard}")
    print(f"  receives {harness.receive('heard 1', '1 sugar')}, unheard {acknowledged.unheard}")
    print(f"  replies {harness.replies}")


def make_chain() -> Codec[bytes, str]:
    """All of them; the last two only ever see what comes in."""
    return LineFramer() | TextCodec() | Acknowledged() | drop_comments | Unfold()


async def keep_shop(stream: trio.abc.Stream) -> None:
    async with Pipeline(stream, make_chain()) as pipeline:
        async for line in pipeline:
            print(f"  the shop receives {line!r}")
            await pipeline.send("that is 4.20")


async def show_all() -> None:
    """Two ends of a socket, which number their lines and acknowledge each other's."""
    print(f"{make_chain()!r}:")
    here, there = map(trio.SocketStream, trio.socket.socketpair())
    acknowledged = Acknowledged()
    async with trio.open_nursery() as nursery, Pipeline(here, LineFramer() | TextCodec() | acknowledged) as shopper:
        nursery.start_soon(keep_shop, there)
        await shopper.send_many(["# to buy", "tea, \\", "milk"])
        print(f"  the shopper receives {await shopper.receive()!r}")
        # What acknowledges came before that line, and was taken on the way to it.
        print(f"  unheard {acknowledged.unheard}")


if __name__ == "__main__":
    show_each()
    trio.run(show_all)
