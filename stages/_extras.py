"""Libraries that only one stage needs: what is said where one is not there."""

from __future__ import annotations


class Extra:
    """`with Extra("HTTP1", "h11"): import h11`: where that fails, the error names what to install.

    Args:
        needs_it: the stage.
        library: what it needs, which is also the name of the extra.
        otherwise: what can be had without it, as a sentence.

    Raises:
        ImportError: the library is not there.
    """

    def __init__(self, needs_it: str, library: str, *, otherwise: str = "") -> None:
        self._needs_it, self._library, self._otherwise = needs_it, library, otherwise

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, ImportError):
            return
        more = f". {self._otherwise}" if self._otherwise else ""
        raise ImportError(
            f"{self._needs_it} needs {self._library}: pip install 'penstock[{self._library}]'{more}"
        ) from error
