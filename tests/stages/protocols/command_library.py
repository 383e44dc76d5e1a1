"""A sans-I/O library of a few lines, commands that end in a newline, and stages of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline import END, End
from stages.protocols import SansIO


class CommandError(Exception):
    """What the library raises."""


class Library:
    """One command a line; `ping` is answered, `bad` is refused, `hold` waits until `go` is sent, `quit` is the end."""

    def __init__(self) -> None:
        self.buffer = b""
        self.out = b""
        self.holding = self.over = False
        self.fed_while_holding = False

    def feed(self, data: bytes) -> None:
        self.fed_while_holding = self.fed_while_holding or self.holding
        self.buffer += data

    def next_event(self) -> str | None:
        if self.holding or b"\n" not in self.buffer:
            return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        if line == b"ping":
            self.out += b"pong\n"
        elif line == b"bad":
            self.out += b"error\n"
            raise CommandError("bad")
        elif line == b"quit":
            self.out += b"bye\n"
            self.over = True
        self.holding = line == b"hold"
        return line.decode()

    def send(self, text: str) -> None:
        if text == "wrong":
            self.out += b"giving up\n"
            raise CommandError("wrong")
        self.holding = self.holding and text != "go"
        self.over = text == "over"
        self.out += text.encode() + b"\n" if text else b""

    def take(self) -> bytes:
        data, self.out = self.out, b""
        return data


class Least(SansIO[str, str]):
    """What a library must have, and no more; events come as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.library = Library()

    def receive_data(self, data: bytes, /) -> Iterable[str | End]:
        self.library.feed(data)
        return list(iter(self.library.next_event, None))

    def send_event(self, event: str, /) -> None:
        self.library.send(event)

    def data_to_send(self) -> bytes:
        return self.library.take()


class Whole(Least):
    """All that a library may have; events come one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.shaken = False
        self.closed = 0

    @property
    def ready(self) -> bool:
        return self.shaken

    @property
    def paused(self) -> bool:
        return self.library.holding

    @property
    def sending_ended(self) -> bool:
        return self.library.over

    @property
    def holds(self) -> int:
        return len(self.library.buffer)

    def start(self) -> Iterable[str]:
        self.library.out = b"hello\n"
        return ["started"]

    def receive_data(self, data: bytes, /) -> Iterable[str | End]:
        self.library.feed(data)
        return self._events()

    def _events(self) -> Iterator[str | End]:
        while (event := self.library.next_event()) is not None:
            self.shaken = True
            yield event
            if event == "quit":
                yield END

    def receive_eof(self) -> Iterable[str]:
        if self.library.buffer:
            self.library.out = b"too short\n"
            raise CommandError("the end inside a command")
        return ["the end"]

    def send_eof(self) -> None:
        self.library.out += b"farewell\n"

    def poll(self) -> Iterable[str | End]:
        return self._events()

    def leftover(self) -> bytes:
        rest, self.library.buffer = self.library.buffer, b""
        return rest

    def close(self) -> None:
        self.closed += 1
