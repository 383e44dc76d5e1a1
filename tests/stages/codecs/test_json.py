"""JSONCodec and its halves."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing import Harness, check_codec
from stages import JSONCodec, JSONDecoder, JSONEncoder, LineFramer

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class Order(msgspec.Struct):
    id: int
    name: str = ""


@given(value=VALUES)
def test_values_come_back(value: object) -> None:
    harness = Harness(JSONCodec())
    assert [value] == harness.receive(*harness.send(value))


@given(value=VALUES)
def test_it_is_compact_json_on_one_line(value: object) -> None:
    """So a line framer on the wire's side never refuses it."""
    (data,) = Harness(JSONEncoder()).send(value)
    assert value == json.loads(data)
    assert b"\n" not in data
    assert b"\r" not in data


@given(value=VALUES, before=st.text(" \t\r\n", max_size=2), after=st.text(" \t\r\n", max_size=2))
def test_decoding_is_what_json_loads_does(value: object, before: str, after: str) -> None:
    text = before + json.dumps(value) + after
    assert [json.loads(text)] == JSONDecoder().process_sync(text)
    assert [json.loads(text)] == JSONDecoder().process_sync(text.encode())


def test_lines_of_json() -> None:
    check_codec(
        lambda: LineFramer() | JSONCodec(),
        [{"a": 1}, None, [], "é\n"],
        wire=[b'{"a":1}\nnull\n[]\n"\xc3\xa9\\n"\n'],
        cut=True,
        random_cuts=50,
    )


@pytest.mark.parametrize(
    "data", [b"[1]", bytearray(b"[1]"), memoryview(b"[1]"), "[1]"], ids=lambda data: type(data).__name__
)
def test_bytes_of_every_kind_and_text_are_decoded(data: Any) -> None:
    assert [[1]] == JSONDecoder().process_sync(data)
    assert [[1]] == JSONDecoder(list[int]).process_sync(data)


@pytest.mark.parametrize("kind", [None, Order])
def test_what_is_no_bytes_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="JSONDecoder takes bytes, not int"):
        JSONDecoder(kind).process_sync(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a" 1}', r"JSONDecoder: Expecting ':' delimiter, at '1}': line 1 column 6 \(char 5\)"),
        (b"[1] x", r"JSONDecoder: Extra data, at 'x' \(.*\): line 1 column 5 \(char 4\)"),
        (b"", r"JSONDecoder: Expecting value, at the end: line 1 column 1 \(char 0\)"),
        (b" ", r"JSONDecoder: Expecting value, at the end"),
        (b"[1", r"JSONDecoder: Expecting ',' delimiter, at the end"),
        (b"\xef\xbb\xbf{}", r"JSONDecoder: a byte order mark, at '\\ufeff{}'"),
        ('"\n"', r"JSONDecoder: Invalid control character"),
        ("{}".encode("utf-16-le"), r"JSONDecoder: Expecting property name"),
    ],
)
def test_bad_json_shows_what_and_where(data: Any, message: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=message):
        JSONDecoder().process_sync(data)


@pytest.mark.parametrize("kind", [None, Any])
@pytest.mark.parametrize("data", [b"[1]\n[2]", b"[1", b'{"a": "b', b'{"a":'])
def test_more_or_less_than_one_value_asks_for_the_framer(data: bytes, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"is there a framer before it, as in LineFramer\(\) \| JSONCodec\(\)\?"):
        JSONDecoder(kind).process_sync(data)


@pytest.mark.parametrize("kind", [None, Any])
@pytest.mark.parametrize("data", [b"", b'{"a" 1}'])
def test_a_bad_line_does_not_ask_for_the_framer(data: bytes, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^JSONDecoder: (?!.*framer)"):
        JSONDecoder(kind).process_sync(data)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_python_would_write_but_json_has_not_is_refused(constant: str) -> None:
    with pytest.raises(ValueError, match=rf"JSONDecoder: {constant} is no JSON \(RFC 8259 section 6\)"):
        JSONDecoder().process_sync(f"[{constant}]")
    with pytest.raises(ValueError, match="JSONEncoder: Out of range float values are not JSON compliant"):
        JSONEncoder().process_sync([float(constant)])


def test_bytes_that_are_no_utf_8_are_refused_with_their_place() -> None:
    with pytest.raises(UnicodeDecodeError, match=r"position 1: invalid start byte \(JSONDecoder; JSON is UTF-8, RFC"):
        JSONDecoder().process_sync(b'"\xff"')


def test_an_endless_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSONDecoder: Exceeds the limit"):
        JSONDecoder().process_sync(b"1" * 5000)


@pytest.mark.parametrize("kind", [None, list])
def test_hostile_nesting_is_a_bad_item_like_any_other(kind: Any) -> None:
    """RecursionError would look like a fault of ours; recover() can skip a ValueError."""
    with pytest.raises(ValueError, match=r"JSONDecoder: the value is nested too deeply: b?'\[\[\[.*'\.\.\."):
        JSONDecoder(kind).process_sync(b"[" * 100_000)


def test_after_a_bad_item_the_next_is_decoded() -> None:
    decoder = JSONDecoder()
    with pytest.raises(ValueError, match="Expecting"):
        decoder.process_sync(b"{")
    assert [1] == decoder.process_sync(b"1")


def test_nothing_is_held_so_nothing_is_given_back() -> None:
    decoder = JSONDecoder()
    assert () == decoder.unread(())
    assert decoder.unread(decoder.process_sync(b"1")) is None


def test_one_object_serves_many_pipelines() -> None:
    assert JSONDecoder.shareable
    assert JSONEncoder.shareable
    codec = JSONCodec()
    Harness(codec)
    Harness(codec)


# ---- outbound


def test_a_lone_surrogate_goes_out_as_it_came() -> None:
    """JSON can say what UTF-8 cannot; so what was received can be sent on."""
    harness = Harness(JSONCodec())
    (text,) = harness.receive(b'"\\ud800"')
    assert [b'"\\ud800"'] == harness.send(text)


def test_what_json_has_not_is_refused_with_the_remedies() -> None:
    with pytest.raises(TypeError, match=r"JSONEncoder: Object of type set .*Map\(outbound=.*JSONCodec\(set\)"):
        JSONEncoder().process_sync({1})
    with pytest.raises(TypeError, match=r"JSONEncoder: Encoding objects of type object is unsupported"):
        JSONEncoder(Order).process_sync(object())  # type: ignore[arg-type]


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="JSONEncoder: Circular reference detected"):
        JSONEncoder().process_sync(value)
    with pytest.raises(ValueError, match="JSONEncoder: the value is nested too deeply, or contains itself"):
        JSONEncoder(list).process_sync(value)


def test_a_refused_value_leaves_the_encoder_as_it_was() -> None:
    encoder = JSONEncoder()
    with pytest.raises(TypeError):
        encoder.process_sync([1, object()])
    assert [b"[1]"] == encoder.process_sync([1])
    assert encoder.keeps_outbound_state is False


# ---- typed


def test_a_type_gives_objects_of_it() -> None:
    check_codec(lambda: LineFramer() | JSONCodec(Order), [Order(1, "a"), Order(2)], cut=True, random_cuts=20)
    assert [b'{"id":1,"name":"a"}'] == Harness(JSONCodec(Order)).send(Order(1, "a"))


def test_what_does_not_fit_the_type_shows_where() -> None:
    with pytest.raises(ValueError, match=r"""JSONDecoder: Expected `int`, got `str` - at `\$.id`: b'{"id":"x"}'$"""):
        JSONDecoder(Order).process_sync(b'{"id":"x"}')
    with pytest.raises(ValueError, match=r"JSONDecoder: JSON is malformed: .*'\.\.\.$"):
        JSONDecoder(Order).process_sync(b"x" * 101)


def test_without_msgspec_a_type_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"needs msgspec: pip install 'penstock\[msgspec\]'. JSONCodec\(\) without"):
        JSONCodec(Order)
    assert [1] == JSONDecoder().process_sync(b"1")


def test_repr_shows_it_as_it_is_written() -> None:
    assert "JSONCodec()" == repr(JSONCodec())
    assert "JSONCodec(Order)" == repr(JSONCodec(Order))


def test_an_error_of_the_type_itself_is_not_made_a_wrong_value() -> None:
    """A bug in the code of a type looks like what it is."""

    class Strange(msgspec.Struct):
        id: int

        def __post_init__(self) -> None:
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        JSONDecoder(Strange).process_one(b'{"id": 1}')
