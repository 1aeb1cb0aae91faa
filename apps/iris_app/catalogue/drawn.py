"""What a final label says of its own values, and what the other labels say of the rest.

A label that is dropped into the folder often has no names. Its values are then called what the other labels
call them, where they all agree; a value that would stay a bare number beside named structures is no class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from apps.iris_app.catalogue.class_register import ClassRegister, class_key
from apps.iris_app.catalogue.final_label import read_final
from apps.iris_app.catalogue.study import FinalLabel
from apps.iris_app.lib.state import digest
from iris_core.stored.checksum import checksum
from iris_core.volume.label_names import is_placeholder
from iris_core.volume.volume import Color

if TYPE_CHECKING:
    from apps.iris_app.catalogue.catalogue import ReferenceEntry


@dataclass(frozen=True)
class Drawn:
    """The values of a label.

    Attributes:
        checksum: of the file.
        values: (value, its name or "" where nobody says it, its colour or None), ascending.
    """

    checksum: str = ""
    values: tuple[tuple[int, str, Color | None], ...] = ()

    @classmethod
    def from_json(cls, entry: Mapping) -> Drawn:
        """The inverse of `asdict`."""
        kept = entry.get("values", ())
        values = tuple((value, name, tuple(color) if color else None) for value, name, color in kept)
        return cls(entry.get("checksum", ""), values)


def read_drawn(final: FinalLabel, studies: Path | None) -> Drawn:
    """Reads the values of a final label; none where its author meant it to be empty.

    Args:
        final: the label.
        studies: folder of the images.

    Raises:
        InputError: the file cannot be read, or nothing is drawn in it.
    """
    word = checksum(final.path)
    if final.empty:
        return Drawn(word)
    label = read_final(final, studies)
    names = {v: name for v, name in label.names.items() if not is_placeholder(name, v)}
    return Drawn(word, tuple((v, names.get(v, ""), label.colors.get(v)) for v in label.values))


def named_alike(entries: Mapping[str, ReferenceEntry], register: ClassRegister) -> dict[str, ReferenceEntry]:
    """The entries with names for all their values, as far as the labels agree on them.

    Args:
        entries: of all final labels, as they were read.
        register: gets the names, in the order in which the studies became references.
    """
    shared: dict[int, dict[str, str]] = {}
    for entry in entries.values():
        for value, name, _ in entry.drawn.values:
            if name:
                shared.setdefault(value, {})[class_key(name)] = name
    common = {value: next(iter(names.values())) for value, names in shared.items() if len(names) == 1}
    in_order = sorted(entries.values(), key=lambda entry: entry.since)
    named = {entry.study: _named(entry, common, bool(shared), register) for entry in in_order}
    return {study: named[study] for study in entries}


def _named(
    entry: ReferenceEntry, common: Mapping[int, str], any_named: bool, register: ClassRegister
) -> ReferenceEntry:
    """An entry with names and classes; with a problem where a value has no name among named ones."""
    drawn = entry.drawn
    if not drawn.values:
        return entry
    bare = [value for value, name, _ in drawn.values if not name]
    unknown = [value for value in bare if value not in common] if any_named else []
    if unknown:
        problem = (
            f"the label's values {_listed(unknown)} have no name, and the other labels do not agree on one; "
            "submit it with names, or name all values in labels.json in the studies folder"
        )
        return replace(entry, classes=(), names=(), note="", problem=problem)
    names = tuple((value, name or common.get(value) or f"label_{value}") for value, name, _ in drawn.values)
    colors = {value: color for value, _, color in drawn.values}
    for value in bare if any_named else ():
        register.rename(f"label_{value}", common[value])
    numbers = sorted({register.add(name, colors[value]) for value, name in names})
    borrowed = f"the names of the values {_listed(bare)} are those of the other labels"
    note = borrowed if bare and any_named else ""
    return replace(
        entry, classes=tuple(map(register.name, numbers)), names=names, note=note, problem="",
        checksum=digest(drawn.checksum, list(names)),
    )  # fmt: skip


def _listed(values: list[int]) -> str:
    few = ", ".join(map(str, values[:8]))
    return few if len(values) <= 8 else f"{few}, ..."
