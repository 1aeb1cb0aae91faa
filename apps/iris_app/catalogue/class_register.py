"""ClassRegister: one number and one colour per class name, the same in all studies, while it is kept.

Viewers number classes study by study, so only names say what is what. Names that differ in case, blanks or
underscores alone are one class. Numbers run from 1 without a gap, and a class keeps its own
while any label has it or a later class. A class keeps its colour too. It comes from the palette, by the name,
until a reference brings a colour that resembles none of the other classes'.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from iris_core.volume.colors import APART, BLACK, Color, color_for, nearest


class ClassRegister:
    """Numbers classes in the order in which they are first seen.

    Args:
        entries: (name, colour, whether a reference brought it) of the classes known so far, in the order of
            their numbers.
    """

    def __init__(self, entries: Iterable[tuple[str, Color, bool]] = ()) -> None:
        self._names: list[str] = []
        self._colors: list[Color] = []
        self._brought: list[bool] = []
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        for name, color, brought in entries:
            self._append(name, color, brought)

    def add(self, name: str, color: Color | None = None) -> int:
        """The number of a class; a new one gets the next number.

        Args:
            name: of the class.
            color: that a reference brings; taken where no other class has one like it.
        """
        key = class_key(name)
        with self._lock:
            if key not in self._numbers:
                self._append(name.strip(), color_for(key, self._colors), False)
            index = self._numbers[key] - 1
            if color is not None and not self._brought[index] and self._is_free(color, index):
                self._colors[index], self._brought[index] = color, True
            return self._numbers[key]

    def rename(self, old: str, new: str) -> None:
        """Gives a known class another name; nothing happens where the new name is known already."""
        with self._lock:
            number = self._numbers.get(class_key(old))
            if number is None or class_key(new) in self._numbers:
                return
            del self._numbers[class_key(old)]
            self._numbers[class_key(new)] = number
            self._names[number - 1] = new.strip()

    def forget(self, kept: Iterable[str]) -> None:
        """Forgets the newest classes up to one that is kept; older ones stay, so that no number changes."""
        kept = {class_key(name) for name in kept}
        with self._lock:
            while self._names and class_key(self._names[-1]) not in kept:
                del self._numbers[class_key(self._names.pop())]
                self._colors.pop()
                self._brought.pop()

    def find(self, name: str) -> str | None:
        """The name as the register writes it; None where it is not known."""
        number = self._numbers.get(class_key(name))
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
    def entries(self) -> list[tuple[str, Color, bool]]:
        """What the constructor takes."""
        return list(zip(self._names, self._colors, self._brought, strict=True))

    def _append(self, name: str, color: Color, brought: bool) -> None:
        self._names.append(name)
        self._colors.append(color)
        self._brought.append(brought)
        self._numbers[class_key(name)] = len(self._names)

    def _is_free(self, color: Color, index: int) -> bool:
        """Whether no other class, and not the background either, has a colour like this one."""
        others = [other for number, other in enumerate(self._colors) if number != index]
        return nearest(color, [BLACK, *others]) >= APART


def class_key(name: str) -> str:
    """What names of one class have in common."""
    words = " ".join(name.replace("_", " ").replace(",", " , ").split()).casefold()
    return words.replace(" ,", ",")


def with_colors(info: dict, register: ClassRegister) -> dict:
    """A label's info in which every named value has the colour of its class, unless it brings one.

    Args:
        info: what a viewer sends with a label; label_info in it may be missing or malformed.
        register: knows the colours.
    """
    listed = info.get("label_info")
    if not isinstance(listed, list):
        return info
    draft = ClassRegister(register.entries)  # a label that is refused in the end names no class
    entries = []
    for entry in listed:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry["name"].strip():
            entry = {"color": list(draft.color(draft.add(entry["name"]))), **entry}
        entries.append(entry)
    return {**info, "label_info": entries}
