"""IRCMessage: what is read is what was written, and nothing can be written that is two messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import IRCMessage
from stages.protocols._irc_message import parse, written

# What a line says, and the line as it is written again; None: the same.
LINES: list[tuple[str, IRCMessage, str | None]] = [
    ("JOIN #chat", IRCMessage("JOIN", "#chat"), None),
    ("join :#chat", IRCMessage("JOIN", "#chat"), "JOIN #chat"),
    ("AWAY", IRCMessage("AWAY"), None),
    ("AWAY :", IRCMessage("AWAY", ""), None),
    ("TOPIC #chat ::)", IRCMessage("TOPIC", "#chat", ":)"), None),
    ("PRIVMSG #chat :a b  c ", IRCMessage("PRIVMSG", "#chat", "a b  c "), None),
    ("PRIVMSG #chat :x :y", IRCMessage("PRIVMSG", "#chat", "x :y"), None),
    ("PRIVMSG a:b c:", IRCMessage("PRIVMSG", "a:b", "c:"), None),
    ("MODE #chat +o   ada  ", IRCMessage("MODE", "#chat", "+o", "ada"), "MODE #chat +o ada"),
    ("  LIST", IRCMessage("LIST"), "LIST"),
    (":mx 001 ada :Welcome ada", IRCMessage("001", "ada", "Welcome ada", source="mx"), None),
    (":ada!a@h  QUIT  :x", IRCMessage("QUIT", "x", source="ada!a@h"), ":ada!a@h QUIT x"),
    (":a\tb FOO c\td", IRCMessage("FOO", "c\td", source="a\tb"), None),
    ("@a=1;b :s PING x", IRCMessage("PING", "x", source="s", tags={"a": "1", "b": ""}), None),
    ("@a=;;b=1;b=2 X", IRCMessage("X", tags={"a": "", "b": "2"}), "@a;b=2 X"),
    ("@ X", IRCMessage("X"), "X"),
    ("@+v/a-b=x=y X", IRCMessage("X", tags={"+v/a-b": "x=y"}), None),
    (r"@a=\:\s\\\r\n X", IRCMessage("X", tags={"a": "; \\\r\n"}), None),
    (r"@a=1\\n2;b=\x\ X", IRCMessage("X", tags={"a": r"1\n2", "b": "x"}), r"@a=1\\n2;b=x X"),
]


@pytest.mark.parametrize(("line", "message", "again"), LINES, ids=[line for line, *_ in LINES])
def test_lines_are_messages(line: str, message: IRCMessage, again: str | None) -> None:
    assert message == parse(line)
    assert (line if again is None else again) == "".join(written(message))


WORD = st.text(st.characters(exclude_characters="\0\r\n ", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda word: not word.startswith(":")
)
REST = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=8)
NAME = st.text(st.characters(exclude_characters="\0\r\n ;=", exclude_categories=["Cs"]), min_size=1, max_size=5)
VALUE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\\; \r\n"))


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(
    st.from_regex(r"[A-Z]+|[0-9]{3}", fullmatch=True).filter(str.isascii),
    st.lists(WORD, max_size=3),
    st.none() | REST,
    st.none() | WORD,
    st.dictionaries(NAME, VALUE, max_size=3),
)
def test_what_can_be_made_is_one_line_and_the_same_again(
    command: str, params: list[str], last: str | None, source: str | None, tags: dict[str, str]
) -> None:
    message = IRCMessage(command, *params, *([] if last is None else [last]), source=source, tags=tags)
    line = "".join(written(message))
    assert not {*"\0\r\n"} & {*line}
    assert message == parse(line)


@pytest.mark.parametrize("line", ["", " ", ":src", "@a=1", "@a=1 :src", ":", "@", "A1 b", "12 b", "0001", "É", ": A"])
def test_what_is_no_message(line: str) -> None:
    with pytest.raises(ValueError, match=r"there is no command|IRCMessage\("):
        parse(line)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: IRCMessage("JOIN\r\nQUIT"),
            r"IRCMessage\('JOIN\\r\\nQUIT', ...\): a command is a word of letters",
        ),
        (lambda: IRCMessage("PRIVMSG", "#a", "x\nQUIT"), r"'x\\nQUIT' has a line break or a zero byte in it"),
        (lambda: IRCMessage("PRIVMSG", "#a\r", "x"), "has a line break"),
        (lambda: IRCMessage("PRIVMSG", "#a", "x\0"), "a zero byte"),
        (lambda: IRCMessage("PRIVMSG", "a b", "x"), "'a b' is empty, has a space in it or begins with a colon, as"),
        (lambda: IRCMessage("PRIVMSG", "", "x"), "'' is empty"),
        (lambda: IRCMessage("PRIVMSG", ":a", "x"), "':a' is empty, has a space in it or begins with a colon"),
        (lambda: IRCMessage("PING", source=""), "'' is empty"),
        (lambda: IRCMessage("PING", source="a b"), "'a b' is empty, has a space"),
        (lambda: IRCMessage("PING", source="a\n"), "has a line break"),
        (lambda: IRCMessage("PING", tags={"a;b": ""}), "'a;b' cannot be a tag's name, or '' its value"),
        (lambda: IRCMessage("PING", tags={"": ""}), "cannot be a tag's name"),
        (lambda: IRCMessage("PING", tags={"a": "\0"}), r"'\\x00' its value"),
        (lambda: IRCMessage("PING", tags={"a\n": ""}), "has a line break"),
    ],
)
def test_what_would_be_read_as_something_else_cannot_be_made(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as info:
        make()
    assert len(str(info.value)) < 300


@pytest.mark.parametrize("bad", [None, 1, b"x"])
def test_only_text_is_text(bad: Any) -> None:
    with pytest.raises(TypeError, match=rf"IRCMessage takes text, not {type(bad).__name__}: IRCMessage\('PRIVMSG', '"):
        IRCMessage("JOIN", bad)


@pytest.mark.parametrize(
    ("source", "nick"), [("ada!a@h", "ada"), ("ada@h", "ada"), ("mx.example", "mx.example"), (None, None)]
)
def test_who_sent_it(source: str | None, nick: str | None) -> None:
    assert nick == IRCMessage("PING", source=source).nick


def test_it_is_a_value_that_shows_itself_as_it_is_made() -> None:
    message = IRCMessage("privmsg", "#a", "x", source="s", tags={"t": ""})
    assert "IRCMessage('PRIVMSG', '#a', 'x', source='s', tags={'t': ''})" == repr(message)
    assert "IRCMessage('LIST')" == repr(IRCMessage("LIST"))
    assert IRCMessage("LIST") != IRCMessage("LIST", "")
    with pytest.raises(AttributeError):
        message.command = "QUIT"  # type: ignore[misc]
    with pytest.raises(TypeError):
        message.tags["t"] = "\n"  # type: ignore[index]
    match message:
        case IRCMessage("PRIVMSG", (channel, text)):
            assert ("#a", "x") == (channel, text)
        case _:
            raise AssertionError
