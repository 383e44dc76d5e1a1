"""What is said where a library is not there."""

from __future__ import annotations

import pytest

from stages._extras import Extra


def test_the_error_names_what_to_install() -> None:
    with (
        pytest.raises(ImportError, match=r"^HTTP9 needs nothing: pip install 'penstock\[nothing\]'$") as caught,
        Extra("HTTP9", "nothing"),
    ):
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_the_error_may_say_what_can_be_had_without_it() -> None:
    with (
        pytest.raises(ImportError, match=r"'penstock\[nothing\]'\. HTTP1 does without$"),
        Extra("HTTP9", "nothing", otherwise="HTTP1 does without"),
    ):
        raise ImportError


def test_what_is_there_is_imported_and_other_errors_are_themselves() -> None:
    with Extra("HTTP9", "json"):
        import json  # noqa: PLC0415
    assert json.loads("1") == 1
    with pytest.raises(ZeroDivisionError), Extra("HTTP9", "json"):
        raise ZeroDivisionError
