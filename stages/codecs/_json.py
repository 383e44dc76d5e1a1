"""JSON, one value an item: `JSONCodec`, and its halves `JSONDecoder` and `JSONEncoder`.

RFC 8259, with these choices: UTF-8 only and no byte order mark (section 8.1); `NaN` and `Infinity`, which
Python's json would read and write, are refused both ways; of a name that is there twice, the last counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias, overload

from typing_extensions import TypeVar

from pipeline import Duplex, Inbound, Outbound

from .._bytes import BytesLike, as_bytes
from .._extras import Extra
from .._json_bytes import json_bytes

__all__ = ["JSONCodec", "JSONDecoder", "JSONEncoder"]

JSONText: TypeAlias = BytesLike | str
T = TypeVar("T")
Read = TypeVar("Read", covariant=True)
Written = TypeVar("Written", contravariant=True)

_SPACE = " \t\n\r"
_TOO_DEEP = "the value is nested too deeply"
_NO_FRAMER = " (an item is one whole value: is there a framer before it, as in LineFramer() | JSONCodec()?)"


class JSONCodec(Duplex[JSONText, T, T, bytes]):
    """Decode JSON inbound, encode it outbound: one item, one value; put a framer on the wire's side.

    in:  b'{"id": 1}'        out:  {"id": 1}

    Args:
        type: what the values are, as msgspec knows types: a `msgspec.Struct`, a dataclass, `list[int]`, a
            union of tagged structs … Then values are checked and are of that type, and it is faster.
            Needs the extra `penstock[msgspec]`. None: any JSON, by the standard library.

    Raises:
        ValueError: an item is no JSON or does not fit the type (`json.JSONDecodeError` with its place,
            where the standard library decodes; `UnicodeDecodeError` for what is no UTF-8). Nothing is
            kept, so `recover` can go on with the next item. Outbound: the value cannot be JSON.
        TypeError: outbound, an object of a type that JSON does not have; nothing is written.
        ImportError: a type was given and msgspec is not there.
    """

    @overload
    def __init__(self: JSONCodec[Any], type: None = None) -> None: ...
    @overload
    def __init__(self, type: type[T]) -> None: ...
    @overload
    def __init__(self: JSONCodec[Any], type: object) -> None: ...
    def __init__(self, type: Any = None) -> None:  # noqa: A002 - the word users know it by
        given = () if type is None else (type,)
        super().__init__(JSONDecoder(*given), JSONEncoder(*given))


class JSONDecoder(Inbound[JSONText, Read]):
    """The inbound half of `JSONCodec`: JSON as bytes or text in, values out; holds nothing."""

    peer_errors = (ValueError,)
    shareable = True
    only_items = True
    never_expands = True
    holds = 0

    @overload
    def __init__(self: JSONDecoder[Any], type: None = None) -> None: ...
    @overload
    def __init__(self, type: type[Read]) -> None: ...
    @overload
    def __init__(self: JSONDecoder[Any], type: object) -> None: ...
    def __init__(self, type: Any = None) -> None:  # noqa: A002 - the word users know it by
        if type is not None:
            self.process_one = _typed_decode(_msgspec().json.Decoder(type).decode)  # type: ignore[method-assign]

    def process_one(self, data: JSONText, /) -> Any:
        """Decode one value, with white space around it or none.

        Raises:
            ValueError: this is no JSON, or not of the type; the next item is decoded all the same.
        """
        try:
            text: Any = data.decode() if type(data) is bytes else _text(data)
        except UnicodeDecodeError as error:
            reason = f"{error.reason} (JSONDecoder; JSON is UTF-8, RFC 8259 section 8.1)"
            raise UnicodeDecodeError(error.encoding, error.object, error.start, error.end, reason) from None
        try:
            # What json.loads does, without what it does around it: 0.5 us instead of 1.8 for 60 bytes.
            value, end = _scan_once(text, 0)
        except (StopIteration, ValueError, RecursionError):
            return _decode(text)  # white space before it, or an error, which is told there
        if end == len(text) or not text[end:].strip(_SPACE):
            return value
        return _decode(text)

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; a value that was not taken cannot be turned back into the same bytes."""
        return None if list(outputs) else ()


class JSONEncoder(Outbound[Written, bytes]):
    """The outbound half of `JSONCodec`: values in, compact JSON in UTF-8 without line breaks out; holds nothing.

    With a type, msgspec encodes, which writes `NaN` and `Infinity` as `null`.
    """

    shareable = True
    holds = 0
    keeps_outbound_state = False

    @overload
    def __init__(self: JSONEncoder[Any], type: None = None) -> None: ...
    @overload
    def __init__(self, type: type[Written]) -> None: ...
    @overload
    def __init__(self: JSONEncoder[Any], type: object) -> None: ...
    def __init__(self, type: Any = None) -> None:  # noqa: A002 - the word users know it by
        self._encode: Callable[[Any], bytes] = json_bytes if type is None else _msgspec().json.Encoder().encode

    def process_one(self, item: Written, /) -> bytes:
        """Encode one value.

        Raises:
            TypeError: JSON has no such type; nothing is written.
            ValueError: NaN, Infinity, a value that contains itself; nothing is written.
        """
        try:
            return self._encode(item)
        except RecursionError:
            raise ValueError(f"JSONEncoder: {_TOO_DEEP}, or contains itself") from None
        except TypeError as error:
            raise TypeError(
                f"JSONEncoder: {error}. Make it of dicts, lists, strings and numbers first, as with Map(outbound=...), "
                f"or name its type: JSONCodec({type(item).__qualname__})"
            ) from error
        except Exception as error:
            raise ValueError(f"JSONEncoder: {error}") from error


def _msgspec() -> Any:
    with Extra(
        "a JSON codec with a type", "msgspec", otherwise="JSONCodec() without one decodes with the standard library"
    ):
        import msgspec  # noqa: PLC0415 - an extra, needed only where a type is given
    return msgspec


def _text(data: JSONText) -> str:
    return data if isinstance(data, str) else as_bytes("JSONDecoder", data).decode()


def _typed_decode(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decoding with errors that name the stage; what the error is about is looked at when there is one."""

    def process_one(data: JSONText, /) -> Any:
        try:
            return decode(data)
        except Exception as error:
            raise _explained(error, data) from error

    return process_one


def _explained(error: Exception, data: Any) -> Exception:
    if not isinstance(data, bytes | str):
        data = as_bytes("JSONDecoder", data)
    if isinstance(error, RecursionError):
        return ValueError(f"JSONDecoder: {_TOO_DEEP}: {data[:40]!r}...")
    if not isinstance(error, ValueError):
        return error
    dots = "..." if len(data) > 100 else ""
    hint = _NO_FRAMER if data and ("truncated" in str(error) or "trailing" in str(error)) else ""
    return ValueError(f"JSONDecoder: {error}: {data[:100]!r}{dots}{hint}")


def _decode(text: str) -> Any:
    """json.loads of text, with errors that name the stage and show the place."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = "a byte order mark" if text.startswith("\ufeff") else error.msg
        shown = repr(text[error.pos : error.pos + 20]) if error.pos < len(text) else "the end"
        cut = error.msg == "Extra data" or error.pos == len(text) or error.msg.startswith("Unterminated")
        hint = _NO_FRAMER if cut and text.strip(_SPACE) else ""
        raise json.JSONDecodeError(f"JSONDecoder: {problem}, at {shown}{hint}", text, error.pos) from None
    except RecursionError:
        raise ValueError(f"JSONDecoder: {_TOO_DEEP}: {text[:40]!r}...") from None
    except ValueError as error:
        raise ValueError(f"JSONDecoder: {error}") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON (RFC 8259 section 6), though Python writes it")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_scan_once: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
