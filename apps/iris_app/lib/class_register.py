"""ClassRegister: one number and one colour per class name, the same in all studies, while it is kept.

Viewers number classes study by study, so only names say what is what. Names that differ in case, blanks or
underscores alone are one class. Numbers run from 1 without a gap, and a class keeps its own
while any label has it or a later class.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from iris_core.volume import PALETTE, Color


class ClassRegister:
    """Numbers classes in the order in which they are first seen.

    Args:
        entries: (name, colour) of the classes known so far, in the order of their numbers.
    """

    def __init__(self, entries: Iterable[tuple[str, Color]] = ()) -> None:
        self._names: list[str] = []
        self._colors: list[Color] = []
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        for name, color in entries:
            self.add(name, color)

    def add(self, name: str, color: Color | None = None) -> int:
        """The number of a class; a new one gets the next number, and its colour or one of the palette."""
        key = _key(name)
        with self._lock:
            if key not in self._numbers:
                number = len(self._names) + 1
                self._colors.append(tuple(color) if color else PALETTE[(number - 1) % len(PALETTE)])
                self._names.append(name.strip())
                self._numbers[key] = number
            return self._numbers[key]

    def forget(self, kept: Iterable[str]) -> None:
        """Forgets the newest classes up to one that is kept; older ones stay, so that no number changes."""
        kept = {_key(name) for name in kept}
        with self._lock:
            while self._names and _key(self._names[-1]) not in kept:
                del self._numbers[_key(self._names.pop())]
                self._colors.pop()

    def find(self, name: str) -> str | None:
        """The name as the register writes it; None where it is not known."""
        number = self._numbers.get(_key(name))
        return None if number is None else self._names[number - 1]

    def name(self, number: int) -> str:
        """The name of a number."""
        return self._names[number - 1]

    def color(self, number: int) -> Color:
        """The colour of a number, (R, G, B), 0-255."""
        return self._colors[number - 1]

    @property
    def numbers(self) -> dict[str, int]:
        """Name -> number, ascending from 1 without a gap."""
        return {name: number for number, name in enumerate(self._names, start=1)}

    @property
    def entries(self) -> list[tuple[str, Color]]:
        """What the constructor takes."""
        return list(zip(self._names, self._colors, strict=True))


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
