"""websocket_chat.py: what browsers and other clients say to each other, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.examples.programs import SECONDS, Server, serving

PROGRAM = "examples/websocket_chat.py"
NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}
MISSING = [package for program, package in NEEDED.items() if shutil.which(program) is None]
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PROGRAM, "--port", "0") as server:
        yield server


def get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str | None, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_page_is_served(server: Server) -> None:
    status, kind, body = get(server, "/")
    assert (200, "text/html; charset=utf-8") == (status, kind)
    assert "new WebSocket(" in body
    assert (200, "text/html; charset=utf-8", "") == get(server, "/", "HEAD")
    assert (404, "text/plain; charset=utf-8", "There is only /\n") == get(server, "/favicon.ico")


def test_everybody_hears_what_anybody_says(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/chat"
    with connect(url, compression=None) as ada, connect(url) as bob:
        for speaker, text in ((ada, "hello"), (bob, "h\u00e9, <b>you</b>")):
            speaker.send(text)
            assert [text, text] == [each.recv(timeout=SECONDS) for each in (ada, bob)]
        ada.close()
        bob.send("alone")
        assert "alone" == bob.recv(timeout=SECONDS)


def test_the_page_of_another_server_is_refused(server: Server) -> None:
    evil = Origin("http://evil")
    with pytest.raises(InvalidStatus, match="HTTP 403"), connect(f"ws://127.0.0.1:{server.port}/", origin=evil):
        pass


def test_a_wrong_request_is_told(server: Server) -> None:
    assert 426 == get(server, "/", **UPGRADE)[0]
    server.wait_for("no upgrade: Missing header, 'Connection: Upgrade'")


def test_a_text_that_is_too_long_is_told(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/") as ada:
        ada.send("x" * 5000)
        with pytest.raises(ConnectionClosedError, match="1009"):
            ada.recv(timeout=SECONDS)
    server.wait_for("closing: RemoteProtocolError('WebSocket: a message of at least 5000 bytes is over the limit")


# ---- a browser


class Browser:
    """Chromium without a window, driven over the W3C WebDriver protocol.

    Args:
        driver: where chromedriver listens.
        profile: an empty directory.
    """

    def __init__(self, driver: str, profile: Path) -> None:
        switches = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
        ]
        chrome = {"args": switches, "binary": shutil.which("chromium")}
        self._url = f"{driver}/session"
        asked = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}}
        self._url += "/" + self._ask("POST", "", asked)["sessionId"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> str:
        """Open a page in a new tab, and return the tab."""
        tab: str = self._ask("POST", "/window/new", {"type": "tab"})["handle"]
        self.run(tab, "location.href = arguments[0]", url)
        return tab

    def run(self, tab: str, script: str, *args: Any) -> Any:
        """What the script returns in that tab."""
        self._ask("POST", "/window", {"handle": tab})
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def shows(self, tab: str) -> list[str]:
        """The lines of the page, the first one first."""
        script = "return [...document.querySelectorAll('#heard li')].map(item => item.textContent).reverse()"
        lines: list[str] = self.run(tab, script)
        return lines

    def wait_for(self, tab: str, lines: list[str]) -> None:
        """Wait until the page shows these lines."""
        end = time.monotonic() + SECONDS
        while (shown := self.shows(tab)) != lines:
            assert time.monotonic() < end, shown
            time.sleep(0.02)

    def say(self, tab: str, text: str) -> None:
        """Do what a user does."""
        self.run(tab, "text.value = arguments[0]; form.requestSubmit()", text)

    def close(self) -> None:
        self._ask("DELETE", "")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a driver of its own."""
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    assert process.stdout is not None
    try:
        port = next(found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        browser = Browser(f"http://127.0.0.1:{port}", folder / "profile")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.full
@pytest.mark.skipif(bool(MISSING), reason=f"there is no browser: apt-get install {' '.join(MISSING)}")
def test_two_pages_of_a_browser_talk_to_each_other(server: Server, tmp_path: Path) -> None:
    with browser(tmp_path) as chromium:
        url = f"http://127.0.0.1:{server.port}/"
        ada, bob = chromium.open(url), chromium.open(url)
        for tab in (ada, bob):
            chromium.wait_for(tab, ["(you are in)"])
        heard = ["(you are in)"]
        for speaker, text in ((ada, "hello, Bob"), (bob, "<b>h\u00e9</b> \U0001f600"), (ada, "x" * 4000)):
            chromium.say(speaker, text)
            heard.append(text)
            for tab in (ada, bob):
                chromium.wait_for(tab, heard)
        chromium.run(bob, "location.href = 'about:blank'")
        chromium.say(ada, "alone")
        chromium.wait_for(ada, [*heard, "alone"])
        chromium.say(ada, "x" * 5000)
        closed = "(closed: 1009 a message of at least 5000 bytes is over the limit, max_bytes=4096)"
        chromium.wait_for(ada, [*heard, "alone", closed])
