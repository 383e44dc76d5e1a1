"""The headers of the upgrade from HTTP/1.1; the upgrade itself is in `test_http2.py`."""

from __future__ import annotations

import h2.config
import h2.connection
import h11
import pytest
from h2.settings import SettingCodes

from stages.protocols._http2_upgrade import begin_client, begin_server


def connection(*, client: bool) -> h2.connection.H2Connection:
    return h2.connection.H2Connection(h2.config.H2Configuration(client_side=client))


def request(*headers: tuple[str, str]) -> h11.Request:
    return h11.Request(method="GET", target="/x?y=1", headers=[("Host", "a:80"), ("X-Own", "1"), *headers])


def test_a_request_is_taken_over_without_what_is_of_its_connection() -> None:
    asked = request(("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", ""))
    assert [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a:80"),
        (b":path", b"/x?y=1"),
        (b"x-own", b"1"),
    ] == begin_server(connection(client=False), asked)


def test_the_settings_of_the_client_count() -> None:
    client, server = connection(client=True), connection(client=False)
    client.local_settings.initial_window_size = 123_456
    client.local_settings.acknowledge()
    headers = begin_client(client)
    assert ["Connection", "Upgrade", "HTTP2-Settings"] == [name for name, _ in headers]
    assert "=" not in headers[2][1]
    begin_server(server, request(*headers))
    assert 123_456 == server.remote_settings[SettingCodes.INITIAL_WINDOW_SIZE]


@pytest.mark.parametrize("values", [[], ["AAMAAABk", "AAMAAABk"]])
def test_a_request_has_one_header_of_settings(values: list[str]) -> None:
    with pytest.raises(ValueError, match=f"has one HTTP2-Settings header, not {len(values)}"):
        begin_server(connection(client=False), request(*[("HTTP2-Settings", value) for value in values]))


@pytest.mark.parametrize("value", ["A", "AAMA", "AAIAAAAC"])
def test_settings_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=rf"its HTTP2-Settings header is wrong: b'{value}'"):
        begin_server(connection(client=False), request(("HTTP2-Settings", value)))
