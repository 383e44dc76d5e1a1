"""Python programs, each in a process of its own that has imported the library already: a tenth of the CPU of a start.

As a program, this is the process that forks: of each line with a job it becomes the job's program, in a child, and
writes a line when that has ended.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PRELOADED = ("trio", "hypothesis", "pipeline", "pipeline.testing", "stages", "asyncio", "logging")


class Forker:
    """The process that forks, with warnings being errors in all of its programs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(
        self, program: Path, directory: Path, *arguments: str, stdin: str = "", seconds: int = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a directory, to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end.
        """
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("in", "out", "err")]
            files[0].write_text(stdin, "utf-8")
            code = self._run([str(program), *arguments], str(directory), [str(path) for path in files], seconds)
            if code == -signal.SIGALRM:
                raise subprocess.TimeoutExpired(str(program), seconds)
            return subprocess.CompletedProcess(str(program), code, *(path.read_text("utf-8") for path in files[1:]))

    def _run(self, *job: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@functools.cache
def forker() -> Forker:
    """The one of this process; it ends with it, as its input does."""
    return Forker()


def next_job() -> Any:
    """Fork for each job: the job in the child, and None in the parent at the end."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def become(command: list[str], directory: str, files: list[str], seconds: int) -> None:
    """Run the program as if it had been started; the interpreter ends after it."""
    os.chdir(directory)
    for number, path in enumerate(files):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    signal.alarm(seconds)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the one before has read of its own input
    sys.argv[:] = command
    sys.path[0] = str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    for name in PRELOADED:
        exec(f"from {name} import *")
    gc.freeze()  # else each child would copy all of it, when its collector looks through it at the end
    if found := next_job():
        become(*found)
