"""Follow a program's output while it runs: a one-way pipeline on each of its pipes.

    python examples/follow_a_process.py                              # a small program of its own
    python examples/follow_a_process.py -- make check                # any other
    python examples/follow_a_process.py --until ready -- ./server    # and stop it at a word

Nothing is gathered in memory: as long as nobody receives, nothing is read, and the program waits at its full pipe.
The exit status is the program's own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from typing import Any

import trio

from pipeline import Duplex, Pipeline, inbound
from stages import LineFramer, TextCodec

OWN_PROGRAM = """
import sys
for step in "fetch", "build", "test":
    print(step, "...", flush=True)
print("2 warnings", file=sys.stderr)
print("all done", end="")
"""


@inbound
def drop_blank_lines(line: str) -> list[str]:
    """A function is a stage: none, one or many items for each."""
    return [line] if line.strip() else []


def make_chain() -> Duplex[bytes, str, str, bytes]:
    """Bytes ─► lines ─► text. Only inbound is ever used: a pipe goes one way, and a chain need not know.

    A program is no protocol, so nothing that it prints is an error: a last line may lack its end, a line may be
    endless or no UTF-8.
    """
    return LineFramer(at_eof="emit", oversize="skip") | TextCodec(errors="replace") | drop_blank_lines


async def follow(name: str, pipe: trio.abc.ReceiveStream, word: str | None) -> bool:
    """Show each line as it comes; return whether one had the word in it."""
    async with Pipeline(pipe, make_chain()) as pipeline:
        async for line in pipeline:
            print(f"{name} │ {line}", flush=True)
            if word is not None and word in line:
                return True
    return False


async def run(command: list[str], word: str | None) -> int:
    """Run the program to its end, or until it says the word; return its exit status."""
    status = 0

    async def until_word(name: str, pipe: trio.abc.ReceiveStream, nursery: trio.Nursery) -> None:
        if await follow(name, pipe, word):
            nursery.cancel_scope.cancel()  # which also ends the program, as its task is in here

    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        process: Any = await nursery.start(start, command)
        # Both at once: a program that fills the pipe which nobody reads would stand still.
        nursery.start_soon(until_word, "out", process.stdout, nursery)
        nursery.start_soon(until_word, "err", process.stderr, nursery)
    if nursery.cancel_scope.cancelled_caught:
        print(f"it said {word!r}: stopped")
    else:
        status = process.returncode
        print(f"ended with exit status {status}")
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Show what a program prints, line by line, as it runs.")
    parser.add_argument("--until", metavar="WORD", help="stop the program when it prints this")
    parser.add_argument("command", nargs="*", help="the program and its arguments")
    arguments = parser.parse_args()
    try:
        sys.exit(trio.run(run, arguments.command or [sys.executable, "-c", OWN_PROGRAM], arguments.until))
    except* OSError as errors:
        sys.exit(f"cannot run it: {errors.exceptions[0]}")
    except* KeyboardInterrupt:
        sys.exit(130)
