"""HexDump: bytes for reading, in hex and in ASCII."""

from __future__ import annotations

import array
import io
import logging
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Pipeline
from pipeline.testing import Harness, check_tap, pipeline_pair
from stages import HexDump, LineFramer
from tests.memory import peak_memory


class Writes:
    """A file that remembers each `write()`; fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.texts: list[str] = []
        self.error = error

    def write(self, text: str) -> None:
        self.texts.append(text)
        if self.error is not None:
            raise self.error


def dumped(*items: Any, **parameters: Any) -> list[str]:
    """The lines written about items that come in."""
    file = io.StringIO()
    assert [*map(id, items)] == [*map(id, Harness(HexDump(file, **parameters)).receive(*items))]
    assert not file.getvalue() or file.getvalue().endswith("\n")
    return file.getvalue().splitlines()


def released() -> memoryview:
    view = memoryview(b"ab")
    view.release()
    return view


def bytes_in(lines: list[str]) -> bytes:
    """Read the hex columns back."""
    return b"".join(bytes.fromhex(line[8:56]) for line in lines if line.endswith("|"))


# ---- what it shows


def test_it_changes_nothing() -> None:
    check_tap(lambda: HexDump(io.StringIO()))


def test_a_head_line_and_rows_as_hexdump_writes_them() -> None:
    assert [
        "→ in  29 bytes at 0",
        "  0000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|",
        "  0010  48 6f 73 74 3a 20 7f c3  a4 80 ff 0d 0a           |Host: .......|",
    ] == dumped(b"GET / HTTP/1.1\r\nHost: \x7f\xc3\xa4\x80\xff\r\n")


def test_each_direction_has_an_arrow_and_counts_for_itself() -> None:
    file = io.StringIO()
    harness = Harness(HexDump(file) | LineFramer())
    harness.receive(b"he", b"llo\n")
    harness.send(b"you")
    harness.receive(b"x")
    assert ["→ in  2 bytes at 0", "→ in  4 bytes at 2", "← out 4 bytes at 0", "→ in  1 byte at 6"] == [
        line for line in file.getvalue().splitlines() if not line.startswith(" ")
    ]


@given(st.binary(max_size=100))
def test_the_hex_columns_are_the_bytes_and_all_rows_are_aligned(data: bytes) -> None:
    head, *rows = dumped(data)
    assert data == bytes_in(rows)
    assert -(-len(data) // 16) == len(rows)
    assert {58} >= {row.index("|") for row in rows}
    assert f"→ in  {len(data)} {'byte' if len(data) == 1 else 'bytes'} at 0" == head


def test_an_empty_item_has_a_head_line() -> None:
    assert ["→ in  0 bytes at 0"] == dumped(b"")


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        memoryview,
        lambda data: memoryview(bytes(2 * byte for byte in data for _ in "12"))[::2],
        lambda data: memoryview(array.array("H", bytes(2 * byte for byte in data))),
        lambda data: memoryview(bytes(2 * byte for byte in data)).cast("B", (2, 2)),
    ],
    ids=["bytearray", "memoryview", "strided", "items of two bytes", "two dimensions"],
)
def test_all_kinds_of_bytes(make: Callable[[bytes], Any]) -> None:
    item = make(b"\1\2\3\4")
    head, row, rest = dumped(item, max_bytes=3)
    assert "→ in  4 bytes at 0" == head
    assert bytes(item)[:3] == bytes_in([row])
    assert "  …     3 of 4 bytes shown" == rest


def test_what_is_no_bytes_is_named() -> None:
    assert ["→ in  str, no bytes", "→ in  NoneType, no bytes", "→ in  0 bytes at 0"] == dumped("abc", None, b"")


# ---- long items


def test_an_item_of_max_bytes_is_shown_whole_and_one_more_is_not() -> None:
    assert 17 == len(dumped(b"x" * 256))
    assert "  …     256 of 257 bytes shown" == dumped(b"x" * 257)[-1]
    assert 18 == len(dumped(b"x" * 257))


def test_of_a_large_item_only_the_beginning_is_looked_at() -> None:
    with mmap.mmap(-1, 1 << 30) as memory, memoryview(memory) as item:
        assert "  …     256 of 1073741824 bytes shown" == dumped(item)[-1]
        with peak_memory() as peak:
            dumped(item)
        assert peak.bytes < 1 << 20


def test_rows_stay_aligned_in_an_item_of_more_than_64_kib() -> None:
    rows = dumped(b"x" * 65553, max_bytes=65552)[1:]
    assert {"  00000", "  0fff0", "  10000"} <= {row[:7] for row in rows}
    assert "  …      65552 of 65553 bytes shown" == rows[-1]
    assert {59} == {row.index("|") for row in rows[:-1]}


# ---- secrets


def test_redact_says_what_is_shown_instead() -> None:
    assert [
        "→ in  12 bytes at 0, redacted",
        "  0000  70 77 3d 2a 2a 2a 0a                              |pw=***.|",
        "→ in  3 bytes at 12",
        "  0000  6f 6b 0a                                          |ok.|",
    ] == dumped(b"pw=hunter22\n", bytearray(b"ok\n"), redact=lambda data: data.replace(b"hunter22", b"***"))


def test_the_full_length_of_what_is_shown_instead_is_told() -> None:
    assert ["→ in  1 byte at 0, redacted", "  …     2 of 3 bytes shown"] == [
        line for line in dumped(b"x", max_bytes=2, redact=lambda data: bytearray(b"abc")) if "|" not in line
    ]


def test_redact_is_given_real_bytes() -> None:
    given: list[Any] = []
    dumped(memoryview(b"a"), bytearray(b"b"), "text", redact=given.append)
    assert [b"a", b"b"] == given
    assert {bytes} == {*map(type, given)}


@pytest.mark.parametrize("instead", [None, "secret", 5])
def test_nothing_is_shown_for_what_is_no_bytes(instead: object) -> None:
    assert ["→ in  6 bytes at 0, redacted"] == dumped(b"secret", redact=lambda data: instead)


def test_nothing_of_an_item_is_shown_where_redact_raises(caplog: pytest.LogCaptureFixture) -> None:
    def redact(data: bytes) -> bytes:
        raise LookupError(data)

    assert ["→ in  6 bytes at 0, not shown: redact raised LookupError"] == dumped(b"secret", redact=redact)
    assert [] == caplog.messages


# ---- the file


def test_an_item_is_one_write() -> None:
    """So what two pipelines write does not mix."""
    file = Writes()
    harness = Harness(HexDump(file))
    harness.receive(b"x" * 100, b"y", None)
    harness.send(b"z" * 300)
    assert 4 == len(file.texts)
    assert all(text.endswith("\n") for text in file.texts)


async def test_two_pipelines_share_a_file() -> None:
    file = Writes()

    async def talk(pipeline: Pipeline[bytes, bytes], letter: bytes) -> None:
        for _ in range(20):
            await pipeline.send(40 * letter)
            assert await pipeline.receive()

    async with pipeline_pair(HexDump(file), HexDump(file)) as (a, b), trio.open_nursery() as nursery:
        nursery.start_soon(talk, a, b"a")
        nursery.start_soon(talk, b, b"b")

    assert 80 == len(file.texts)
    assert {1} == {len({*bytes_in(text.splitlines())}) for text in file.texts}


def test_each_item_is_flushed(tmp_path: Path) -> None:
    path = tmp_path / "wire.txt"
    with path.open("w", encoding="utf-8") as file:
        Harness(HexDump(file)).receive(b"a")
        assert path.read_text("utf-8").startswith("→ in  1 byte at 0\n")


def test_without_a_file_it_is_the_stderr_of_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    dump = HexDump()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", io.StringIO())
        harness = Harness(dump)
    harness.receive(b"a")
    assert "→ in  1 byte at 0\n" in capsys.readouterr().err


def test_a_file_that_has_no_arrows_gets_ascii() -> None:
    raw = io.BytesIO()
    harness = Harness(HexDump(io.TextIOWrapper(raw, "cp1252", newline="\n"), max_bytes=1))
    harness.receive(b"ab", type("Größe", (), {})())
    harness.send(b"c")
    assert [
        b"-> in  2 bytes at 0",
        b"  0000  61                                                |a|",
        b"  ...     1 of 2 bytes shown",
        b"-> in  Gr\\xf6\\xdfe, no bytes",
        b"<- out 1 byte at 0",
        b"  0000  63                                                |c|",
    ] == raw.getvalue().splitlines()


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("closed file")], ids=repr)
def test_an_exception_of_the_file_is_logged_once_and_the_traffic_goes_on(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    file = Writes(error)
    harness = Harness(HexDump(file))
    assert [b"a", b"b"] == harness.receive(b"a", b"b")
    assert [b"c"] == harness.send(b"c")
    assert 3 == len(file.texts)
    assert ["HexDump: an item could not be written; traffic goes on, and later failures are not logged"] == (
        caplog.messages
    )
    assert [("stages.taps", logging.ERROR)] == [(record.name, record.levelno) for record in caplog.records]
    assert caplog.records[0].exc_info


def test_the_count_goes_on_while_the_file_fails() -> None:
    file = Writes(OSError())
    harness = Harness(HexDump(file))
    harness.receive(b"abc")
    file.error = None
    harness.receive(b"d")
    assert "→ in  1 byte at 3\n" in file.texts[-1]


def test_bytes_that_nobody_may_look_at_any_more_pass(caplog: pytest.LogCaptureFixture) -> None:
    assert [] == dumped(released())
    assert 1 == len(caplog.messages)


def test_cancellation_is_no_exception_to_swallow() -> None:
    class Stops(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    dump = HexDump(Stops())
    assert dump.inbound
    with pytest.raises(KeyboardInterrupt):
        dump.inbound.process_sync(b"a")


# ---- as a stage


def test_what_was_given_back_is_at_the_same_place_when_it_passes_again() -> None:
    file = Writes()
    dump = HexDump(file)
    assert dump.inbound
    dump.inbound.process_sync(b"abc")
    assert [b"bc"] == dump.inbound.unread(iter([b"bc"]))
    dump.inbound.process_sync(b"bc")
    assert "→ in  2 bytes at 1\n" in file.texts[-1]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"file": "wire.txt"}, TypeError, r"HexDump\('wire.txt'\): must be an open text file, as in HexDump\(open\("),
        (
            {"max_bytes": 0},
            ValueError,
            r"HexDump\(max_bytes=0\): must be a whole number of bytes, 1 or more.*HexDump\(max_bytes=256\)",
        ),
        ({"max_bytes": 1.5}, TypeError, "must be a whole number"),
        ({"redact": 5}, TypeError, "HexDump: redact must be a function, not 5"),
        ({"redact": trio.sleep}, TypeError, "HexDump: redact is an async function"),
    ],
)
def test_wrong_parameters_show_the_remedy(parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        HexDump(**parameters)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "HexDump(max_bytes=16)" == repr(HexDump(max_bytes=16))
