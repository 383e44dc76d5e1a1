"""Logger: a line in the log for each item."""

from __future__ import annotations

import enum
import itertools
import logging
from typing import Any

import pytest

from pipeline.testing import Harness, check_tap
from stages import Logger

LOG = "tests.traffic"


def logged(caplog: pytest.LogCaptureFixture, *items: Any, **parameters: Any) -> list[str]:
    """The messages of a logger that these items come in through."""
    with caplog.at_level(logging.DEBUG, LOG):
        assert [*map(id, items)] == [*map(id, Harness(Logger(LOG, **parameters)).receive(*items))]
    return caplog.messages


class Shown:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Colour(enum.StrEnum):
    RED = "red"


class Broken:
    def __repr__(self) -> str:
        raise LookupError("no repr")


def test_it_changes_nothing() -> None:
    check_tap(lambda: Logger(LOG))


def test_one_line_an_item_with_its_direction(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(Logger(LOG))
    with caplog.at_level(logging.DEBUG, LOG):
        harness.receive(b"hello")
        harness.send({"a": None})
    assert ["→ in  b'hello'", "← out {'a': None}"] == caplog.messages
    assert [logging.DEBUG] * 2 == [record.levelno for record in caplog.records]


def test_a_logger_object_and_another_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOG):
        Harness(Logger(logging.getLogger(LOG), logging.WARNING)).receive(1)
        Harness(Logger(logging.getLogger(LOG), logging.DEBUG)).receive(2)
    assert [(LOG, logging.WARNING, "→ in  1")] == caplog.record_tuples


def test_while_the_level_is_off_nothing_is_formatted(caplog: pytest.LogCaptureFixture) -> None:
    class Counted:
        count = itertools.count()

        def __repr__(self) -> str:
            next(self.count)
            return "shown"

    with caplog.at_level(logging.INFO, LOG):
        Harness(Logger(LOG)).receive(Counted())
    assert [] == caplog.messages
    assert 0 == next(Counted.count)


def test_the_format_may_be_another(caplog: pytest.LogCaptureFixture) -> None:
    assert ["inbound bytes b'a' →"] == logged(caplog, b"a", format="{direction} {type} {item} {arrow:.1}")


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (b"x" * 10, "b'xxxxxxxxxx'"),
        (b"x" * 11, "b'xxxxxxxxxx'… (11 bytes)"),
        (bytearray(b"x" * 11), "bytearray(b'xxxxxxxxxx')… (11 bytes)"),
        (memoryview(b"x" * 10), "b'xxxxxxxxxx'"),
        (memoryview(b"x" * 11), "b'xxxxxxxxxx'… (11 bytes)"),
        ("é" * 11, "'éééééééééé'… (11 characters)"),
        (Shown("y" * 10), "yyyyyyyyyy"),
        (Shown("y" * 11), "yyyyyyyyyy… (11 characters)"),
        (["abcdefghij"], "['abcdefgh… (14 characters)"),
        (Colour.RED, "<Colour.RED: 'red'>"),
    ],
)
def test_long_items_are_cut_and_their_length_is_told(
    caplog: pytest.LogCaptureFixture, item: object, shown: str
) -> None:
    assert [f"→ in  {shown}"] == logged(caplog, item, max_chars=10)


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("a\r\nINFO all is well", r"'a\r\nINFO all is well'"),
        (b"\x1b[2J", r"b'\x1b[2J'"),
        (Shown("a\n\x1b[2J\u202eb\x00é"), r"a\n\x1b[2J\u202eb\x00é"),
        (Shown("\u2028" + "a" * 300), r"\u2028" + "a" * 199 + "… (301 characters)"),
    ],
)
def test_a_peer_cannot_write_lines_of_its_own_into_the_log(
    caplog: pytest.LogCaptureFixture, item: object, shown: str
) -> None:
    """Nor move the cursor, nor turn the direction of writing, also through somebody's repr."""
    assert [f"→ in  {shown}"] == logged(caplog, item)


def test_a_repr_that_fails_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    assert ["→ in  <Broken, whose repr raised LookupError>"] == logged(caplog, Broken())


def test_bytes_that_nobody_may_look_at_any_more_pass(caplog: pytest.LogCaptureFixture) -> None:
    view = memoryview(b"ab")
    view.release()
    assert ["→ in  <memoryview, whose repr raised ValueError>"] == logged(caplog, view)


def test_a_percent_sign_is_no_format(caplog: pytest.LogCaptureFixture) -> None:
    assert ["→ in  '%s {item}'"] == logged(caplog, "%s {item}")


# ---- secrets


def test_redact_says_what_is_shown_instead(caplog: pytest.LogCaptureFixture) -> None:
    order = {"id": 1, "card": "4111"}
    assert ["→ in  dict {'id': 1, 'card': '...'}"] == logged(
        caplog, order, redact=lambda item: item | {"card": "..."}, format="{arrow} {type} {item}"
    )
    assert "4111" == order["card"]


def test_what_is_shown_instead_is_shortened_too_and_the_type_is_the_items(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(caplog, b"pw=x", None, max_chars=3, redact=lambda item: "abcd", format="{type} {item}")
    assert ["bytes 'abc'… (4 characters)", "NoneType 'abc'… (4 characters)"] == lines


def test_redact_is_called_once_for_an_item_and_only_while_the_level_is_on(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[object] = []
    harness = Harness(Logger(LOG, redact=calls.append))
    with caplog.at_level(logging.INFO, LOG):
        harness.receive(1)
        assert [] == calls
    with caplog.at_level(logging.DEBUG, LOG):
        harness.receive(2)
        harness.send(3)
    assert [2, 3] == calls


def test_nothing_of_an_item_is_shown_where_redact_raises(caplog: pytest.LogCaptureFixture) -> None:
    """Nor of the error, whose text may have the secret in it."""

    def redact(item: Any) -> Any:
        raise LookupError(item)

    assert ["→ in  <str, not shown: redact raised LookupError>"] == logged(caplog, "secret", redact=redact)
    assert "secret" not in caplog.text


def test_a_repr_of_what_is_shown_instead_that_fails_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    assert ["→ in  <Broken, whose repr raised LookupError>"] == logged(caplog, 1, redact=lambda item: Broken())


def test_it_changes_nothing_with_redact(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOG):
        check_tap(lambda: Logger(LOG, redact=len))
    assert "→ in  <NoneType, not shown: redact raised TypeError>" in caplog.messages


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"logger_or_name": None}, TypeError, r"Logger\(None\): must be a logging.Logger or a name: Logger\('app.wire"),
        ({"level": "INFO"}, TypeError, r"Logger\(level='INFO'\): must be a number, .*level=logging.INFO"),
        ({"redact": 5}, TypeError, "Logger: redact must be a function, not 5"),
        ({"max_chars": 0}, ValueError, r"Logger\(max_chars=0\): must be 1 or more"),
        ({"format": "{nothing}"}, ValueError, r"Logger\(format='{nothing}'\): KeyError\('nothing'\). It may have {arr"),
        ({"format": "{item"}, ValueError, "It may have"),
        ({"format": "{}"}, ValueError, "It may have"),
        ({"format": "{item.nothing}"}, ValueError, "It may have"),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Logger(**parameters)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Logger('app.wire', max_chars=20)" == repr(Logger("app.wire", max_chars=20))
