"""Passwords, codes and client secrets, masked from where they are parsed to where they are sent."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """
    A string whose ``repr`` and ``str`` are masked, so that no log, traceback report or error tracker
    shows it. Only ``reveal()`` returns the string.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret can't be pickled or copied.")
