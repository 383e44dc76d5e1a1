"""TextCodec: bytes to text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import IncompleteFrameError
from pipeline.testing import Harness, check_codec, check_linear
from stages import LineFramer, TextCodec


@given(items=st.lists(st.text(), max_size=5))
def test_text_comes_back(items: list[str]) -> None:
    harness = Harness(TextCodec())
    assert items == harness.receive(*harness.send(*items))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "iso2022_jp", "shift_jis"])
def test_text_comes_back_however_the_bytes_are_cut(encoding: str) -> None:
    check_codec(lambda: TextCodec(encoding), ["日本", "a", "語"], cut=True, join=True, random_cuts=100)


def test_a_cut_code_point_waits_for_its_rest() -> None:
    """And as long as it gives no text it gives no item."""
    harness = Harness(TextCodec())
    assert ["caf"] == harness.receive(b"caf\xc3")
    assert ["é"] == harness.receive(b"\xa9")
    assert [] == harness.receive(b"\xe2")
    assert [] == harness.receive(bytearray(b"\x82"))
    assert ["€!"] == harness.receive(memoryview(b"\xac!"))


def test_an_empty_line_stays_a_line() -> None:
    """Empty text is an item like any other."""
    harness = Harness(LineFramer() | TextCodec())
    assert ["", "a", ""] == harness.receive(b"\na\n\n")
    assert [b"\n"] == harness.send("")


def test_bad_bytes_name_the_stage_the_byte_and_the_remedy() -> None:
    with pytest.raises(UnicodeDecodeError) as info:
        TextCodec().inbound.process_sync(b"ab\xffc")
    assert (
        "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte "
        "(TextCodec; errors='replace' would take it)" == str(info.value)
    )


def test_a_code_point_cut_by_a_framer_is_told_from_the_line_that_is_wrong() -> None:
    """It is not the line with the error which is wrong, but the one before."""
    harness = Harness(LineFramer() | TextCodec())
    with pytest.raises(UnicodeDecodeError) as info:
        harness.receive(b"caf\xc3\nbar\n")
    assert (
        "'utf-8' codec can't decode byte 0xc3 in position 0: invalid continuation byte; b'\\xc3' is from the item "
        "before, which ended inside a character (TextCodec; errors='replace' would take it)" == str(info.value)
    )


def test_after_bad_bytes_the_next_item_is_decoded_for_itself() -> None:
    """A cut code point before them went with them."""
    codec = TextCodec()
    assert () == codec.inbound.process_sync(b"\xc3")
    with pytest.raises(UnicodeDecodeError):
        codec.inbound.process_sync(b"(")
    assert ["ok"] == codec.inbound.process_sync(b"ok")


def test_after_bad_bytes_the_byte_order_is_still_known() -> None:
    codec = TextCodec("utf-16")
    assert ["a"] == codec.inbound.process_sync(b"\xfe\xff\0a")
    with pytest.raises(UnicodeDecodeError):
        codec.inbound.process_sync(b"\xdc\0\0a")
    assert ["b"] == codec.inbound.process_sync(b"\0b")


def test_end_inside_a_code_point_is_an_error_with_its_bytes() -> None:
    harness = Harness(TextCodec())
    harness.receive(b"a\xe2\x82")
    with pytest.raises(IncompleteFrameError, match=r"inside a character of utf-8, after b'\\xe2\\x82'") as info:
        harness.finish()
    assert b"\xe2\x82" == info.value.leftover


def test_what_errors_says_is_done_at_the_end_too() -> None:
    harness = Harness(TextCodec(errors="replace"))
    assert ["\ufffd"] == harness.receive(b"\xff")
    assert [] == harness.receive(b"\xe2\x82")
    assert ["\ufffd"] == harness.finish()


def test_end_between_code_points_is_clean() -> None:
    harness = Harness(TextCodec())
    assert ["a"] == harness.receive(b"a")
    assert [] == harness.finish()


# ---- giving back


def test_unread_gives_back_a_cut_code_point() -> None:
    codec = TextCodec()
    assert [] == codec.inbound.unread(())
    codec.inbound.process_sync(b"a\xc3")
    assert [b"\xc3"] == codec.inbound.unread(())
    assert [] == codec.inbound.unread(())


def test_unread_gives_back_the_bytes_of_text_that_was_not_taken() -> None:
    codec = TextCodec()
    assert [b"abc"] == codec.inbound.unread(codec.inbound.process_sync(b"abc"))
    codec.inbound.process_sync(b"\xc3")
    assert [b"\xc3", b"\xa9x"] == codec.inbound.unread(codec.inbound.process_sync(b"\xa9x"))
    assert ["b"] == codec.inbound.process_sync(b"b")


# ---- outbound


def test_utf_8_encodes_each_item_for_itself_and_says_so() -> None:
    """So a send that was cancelled before a byte went out has no effect."""
    for encoding in ("utf-8", "latin-1", "ascii", "utf-16-le"):
        assert TextCodec(encoding).outbound.keeps_outbound_state is False
    for encoding in ("utf-16", "utf-8-sig", "iso2022_jp"):
        assert TextCodec(encoding).outbound.keeps_outbound_state is True


def test_a_byte_order_mark_is_written_once() -> None:
    harness = Harness(TextCodec("utf-8-sig"))
    assert [b"\xef\xbb\xbfa", b"b"] == harness.send("a", "b")
    assert [] == harness.send_eof()


def test_nothing_sent_nothing_written() -> None:
    harness = Harness(TextCodec("utf-16"))
    assert [] == harness.send_eof()


def test_an_encoding_with_shifts_shifts_back_at_the_end() -> None:
    harness = Harness(TextCodec("iso2022_jp"))
    written = b"".join(harness.send("日") + harness.send_eof())
    assert "日".encode("iso2022_jp") == written


def test_a_character_that_may_yet_combine_waits() -> None:
    harness = Harness(TextCodec("euc_jis_2004"))
    assert [] == harness.send("か")
    assert ["か".encode("euc_jis_2004")] == harness.send_eof()


def test_text_that_cannot_be_encoded_leaves_no_trace() -> None:
    for encoding in ("ascii", "iso2022_jp"):
        codec = TextCodec(encoding)
        with pytest.raises(UnicodeEncodeError, match=r"\(TextCodec; errors='replace' would take it\)"):
            codec.outbound.process_sync("日😀")
        assert [b"a"] == codec.outbound.process_sync("a")


def test_what_it_holds() -> None:
    codec = TextCodec()
    list(codec.inbound.process_sync(b"a\xe2\x82"))
    assert 2 == codec.inbound.holds
    list(codec.inbound.process_sync(b"\xac"))
    assert 0 == codec.inbound.holds == codec.outbound.holds
    assert TextCodec("euc_jis_2004").outbound.holds is None, "it may keep a character back"


def test_only_text_goes_out() -> None:
    with pytest.raises(TypeError, match="TextCodec encodes str, not bytes: decode it, or leave TextCodec out"):
        TextCodec().outbound.process_sync(b"a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"encodes str, not dict: send text, or put JSONCodec\(\) in its place"):
        TextCodec().outbound.process_sync({"id": 1})  # type: ignore[arg-type]


# ---- the time


def test_bytes_one_by_one_are_linear() -> None:
    """A cut code point at each of them."""
    check_linear(TextCodec, lambda n: [bytes([byte]) for byte in "é€😀".encode() * (n // 9)], n=8192)


# ---- building


@pytest.mark.parametrize("arguments", [("utf9",), ("hex",), ("utf-8", "bogus")])
def test_unknown_encodings_and_handlers_are_refused_at_once(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"TextCodec\('.*\): .* as in TextCodec\('utf-8', errors='replace'\)"):
        TextCodec(*arguments)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "TextCodec('latin-1')" == repr(TextCodec("latin-1"))
