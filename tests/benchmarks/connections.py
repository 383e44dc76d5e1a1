"""How much memory a connection takes that is open and says nothing, and so how many of them a GB holds.

    python tests/benchmarks/connections.py            print the table, some seconds
    python tests/benchmarks/connections.py --write    put it into docs/cost.md

Each server is a process of its own. Its resident size with some connections, each of which was answered once, and with
many: the difference by the connections between. What the kernel keeps for a socket is not in it. Linux only.
"""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.page import run
from tests.benchmarks.processes import Process, allow_files, read_exactly, running
from tests.benchmarks.servers import line

HEAD = "| | KB per idle connection |"
SYSTEMS = ("Penstock", "trio by hand", "asyncio.Protocol", "asyncio streams")
SPARE_FILES = 100


def resident_bytes(pid: int) -> int:
    """How much memory another process has."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text("utf-8"), re.MULTILINE)
    assert found, "the kernel does not say it"
    return int(found[1]) * 1024


def bytes_per_connection(server: Process, few: int, many: int) -> float:
    """What each connection takes, beyond the first ones."""
    with ExitStack() as stack:
        sizes = []
        for count in (few, many - few):
            for number in range(count):
                connection = stack.enter_context(server.connect())
                connection.sendall(line(number))
                read_exactly(connection, len(line(number)))
            sizes.append(resident_bytes(server.pid))
    return (sizes[1] - sizes[0]) / (many - few)


def measure(few: int = 200, many: int = 1200) -> dict[str, float]:
    """For each system, bytes per connection."""
    allow_files(many + SPARE_FILES)
    found = {}
    for system in SYSTEMS:
        with running(Path(__file__).with_name("servers.py"), system, "answer") as server:
            found[system] = bytes_per_connection(server, few, many)
    return found


def table(found: dict[str, float]) -> str:
    """In Markdown."""
    rows = [f"{HEAD} connections per GB |", "|---|---:|---:|"]
    rows += [f"| {system} | {size / 1000:.1f} | {1e9 / max(size, 1):,.0f} |" for system, size in found.items()]
    return "\n".join(rows)


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("How much memory a connection takes.", HEAD, lambda: table(measure(**sizes)), arguments)


if __name__ == "__main__":
    main()
