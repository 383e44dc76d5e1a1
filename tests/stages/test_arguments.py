"""Arguments that cannot be right are refused at once, and the message shows a right call."""

from __future__ import annotations

import pytest

from stages._arguments import check_choice, check_seconds, check_size


def test_sizes_from_the_least_on_pass() -> None:
    check_size("LineFramer", "max_bytes", 1)
    check_size("LineFramer", "max_bytes", 0, least=0)


@pytest.mark.parametrize("value", [0, -1, False])
def test_a_size_below_the_least_is_refused(value: object) -> None:
    message = r"^LineFramer\(max_bytes=.*\): must be a whole number of bytes, 1 or more$"
    with pytest.raises(ValueError, match=message):
        check_size("LineFramer", "max_bytes", value)


@pytest.mark.parametrize("value", [None, 1.5, "9"])
def test_what_is_no_whole_number_is_refused_with_the_default(value: object) -> None:
    with pytest.raises(TypeError, match=r"1 or more. Leave it out for the default: LineFramer\(max_bytes=65536\)"):
        check_size("LineFramer", "max_bytes", value, default=65536)


def test_a_value_that_is_none_of_the_choices_is_refused_with_the_list() -> None:
    check_choice("LineFramer", "ending", "lf", ("any", "lf"))
    with pytest.raises(ValueError, match=r"^LineFramer\(ending='cr'\): must be one of 'any', 'lf'$"):
        check_choice("LineFramer", "ending", "cr", ("any", "lf"))


def test_a_time_is_more_than_nothing_or_no_limit() -> None:
    for right in (1, 0.5, None):
        check_seconds("SOCKS", "handshake_seconds", right)
    for wrong in (0, -1.5, True, "5"):
        with pytest.raises(ValueError, match=r"^SOCKS\(handshake_seconds=.*\): must be more than 0, or None for no"):
            check_seconds("SOCKS", "handshake_seconds", wrong)
