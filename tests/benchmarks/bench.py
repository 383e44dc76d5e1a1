"""All benchmarks, one after the other: what `make bench` prints.

    python tests/benchmarks/bench.py            print all tables, some minutes
    python tests/benchmarks/bench.py --write    and put each that has one into its page of docs/

Each is a program by itself, too, and runs here in a process of its own. Nothing asserts a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

SCRIPTS = {
    "loops.py": "A whole server beside loops by hand: CPU time per message",
    "one_more_stage.py": "One more stage that passes items on: CPU time",
    "latency.py": "How long an answer takes through 1, 3 and 10 stages",
    "connections.py": "Memory of an idle connection",
    "cost.py": "Framers and codecs beside loops by hand: CPU time",
    "tls.py": "TLS beside trio.SSLStream",
    "http1.py": "HTTP1 beside bare h11",
    "http2.py": "HTTP2 beside bare h2",
}

WITHOUT_PAGE = {"http2.py"}


def main(arguments: list[str] | None = None, scripts: dict[str, str] = SCRIPTS) -> None:
    parser = argparse.ArgumentParser(description="All benchmarks, one after the other.")
    parser.add_argument("--write", action="store_true", help="put each table into its page of docs/")
    options = ["--write"] if parser.parse_args(arguments).write else []
    for script, title in scripts.items():
        print(f"\n{title}\n", flush=True)
        handed = [] if script in WITHOUT_PAGE else options
        subprocess.run([sys.executable, str(HERE / script), *handed], check=True)


if __name__ == "__main__":
    main()
