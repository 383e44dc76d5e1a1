r"""`IRCMessage`: one message of IRC, as a value and as a line; RFC 1459 section 2.3, and IRCv3's message tags.

    @time=12:00;+draft/x :ada!a@host PRIVMSG #chat :good morning

https://modern.ircdocs.horse/#message-format and https://ircv3.net/specs/extensions/message-tags. Where RFC 2812 wants
one space between words, several are taken, as servers write them (RFC 1459); a tab is none.

Rules for this file: text, no bytes. A message that exists has one line, and what is read from that line is it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["IRCMessage", "parse", "written"]

_RIGHT_CALL: Final = "IRCMessage('PRIVMSG', '#chat', 'good morning')"
_SHOWN: Final = 40  # characters of what a peer may have sent
_NEVER: Final = "\0\r\n"
_ESCAPES: Final = {";": ":", " ": "s", "\\": "\\", "\r": "r", "\n": "n"}
_UNESCAPED: Final = {letter: character for character, letter in _ESCAPES.items()}
_ESCAPED: Final = str.maketrans({character: f"\\{letter}" for character, letter in _ESCAPES.items()})


@dataclass(frozen=True, init=False, repr=False)
class IRCMessage:
    """One message of IRC: a command or a number, what it is about, who sent it.

    in:  IRCMessage("PRIVMSG", "#chat", "good morning")        out:  PRIVMSG #chat :good morning

    `match` takes it apart: `case IRCMessage("PRIVMSG", (channel, text))`. Messages are compared by value.

    Args:
        command: a word such as "JOIN", in any case, or a number of three digits as text, such as "001".
        params: any number; only the last may be empty, have spaces in it, or begin with a colon.
        source: who sent it, as the server says: "nick!user@host" or a server's name. Clients leave it out.
        tags: name and value for each; "" for those without a value.

    Raises:
        ValueError: it could not be written as one line, or would be read as something else.
    """

    command: str
    params: tuple[str, ...]
    source: str | None
    tags: Mapping[str, str]

    def __init__(
        self, command: str, *params: str, source: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        tags = MappingProxyType(dict(tags or {}))
        values = {"command": command, "params": params, "source": source, "tags": tags}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()
        object.__setattr__(self, "command", command.upper())

    @property
    def nick(self) -> str | None:
        """The name in front of `source`: who sent it; None: the server did not say."""
        return None if self.source is None else self.source.partition("!")[0].partition("@")[0]

    def __repr__(self) -> str:
        words = [repr(self.command), *map(repr, self.params)]
        if self.source is not None:
            words.append(f"source={self.source!r}")
        if self.tags:
            words.append(f"tags={dict(self.tags)!r}")
        return f"IRCMessage({', '.join(words)})"

    def _check(self) -> None:
        source = () if self.source is None else (self.source,)
        for text in (self.command, *self.params, *source, *self.tags, *self.tags.values()):
            if not isinstance(text, str):
                raise TypeError(f"IRCMessage takes text, not {type(text).__name__}: {_RIGHT_CALL}")
        if problem := self._problem(source):
            raise ValueError(f"IRCMessage({self.command[:_SHOWN]!r}, ...): {problem}")

    def _problem(self, source: tuple[str, ...]) -> str:
        """What is wrong with it, or ""."""
        if not _is_command(self.command):
            return "a command is a word of letters, or three digits"
        for text in (*self.params, *source, *self.tags):
            if any(character in text for character in _NEVER):
                return f"{text[:_SHOWN]!r} has a line break or a zero byte in it, which could begin a second message"
        for word in (*self.params[:-1], *source):
            if not word or " " in word or word.startswith(":"):
                return f"{word[:_SHOWN]!r} is empty, has a space in it or begins with a colon, as only the last may"
        for name, value in self.tags.items():
            if not name or any(character in name for character in " ;=") or "\0" in value:
                return f"{name[:_SHOWN]!r} cannot be a tag's name, or {value[:_SHOWN]!r} its value"
        return ""


def parse(text: str) -> IRCMessage:
    """Read a line without its end.

    Raises:
        ValueError: it is no message.
    """
    tags: dict[str, str] = {}
    source = None
    if text.startswith("@"):
        given, _, text = text[1:].partition(" ")
        tags = _tags(given)
        text = text.lstrip(" ")
    if text.startswith(":"):
        source, _, text = text[1:].partition(" ")
    head, colon, last = text.partition(" :")
    words = [word for word in head.split(" ") if word]
    if not words:
        raise ValueError("there is no command")
    return IRCMessage(*words, *([last] if colon else []), source=source, tags=tags)


def written(message: IRCMessage) -> tuple[str, str]:
    """The tags of its line, with the space behind them, or ""; and the rest, without its end."""
    source = "" if message.source is None else f":{message.source} "
    *words, last = (message.command, *message.params)
    colon = ":" if words and (not last or " " in last or last.startswith(":")) else ""
    line = " ".join([*words, f"{colon}{last}"])
    tags = ";".join(f"{name}={value.translate(_ESCAPED)}" if value else name for name, value in message.tags.items())
    return f"@{tags} " if tags else "", f"{source}{line}"


def _is_command(word: str) -> bool:
    return word.isascii() and (word.isalpha() or (word.isdigit() and len(word) == len("001")))


def _tags(text: str) -> dict[str, str]:
    tags = {}
    for each in text.split(";"):
        name, _, value = each.partition("=")
        if name:
            tags[name] = _unescaped(value)
    return tags


def _unescaped(value: str) -> str:
    """Each escape for itself, from left to right; a backslash in front of anything else is dropped."""
    characters, out = iter(value), []
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            out.append(_UNESCAPED.get(escaped, escaped))
        else:
            out.append(character)
    return "".join(out)
