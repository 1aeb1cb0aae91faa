"""Study: what the datastore says of one image and its final label, in plain data that processes can share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST = 10  # digits of a value


@dataclass(frozen=True)
class FinalLabel:
    """A label that a person has declared final.

    Attributes:
        path: a label file, or a DICOM SEG file.
        stamp: changes whenever the label does.
        names: value -> name, as the datastore says; often empty.
        empty: nothing is drawn in it, and its author meant that.
    """

    path: Path
    stamp: str
    names: dict[int, str] = field(default_factory=dict)
    empty: bool = False


@dataclass(frozen=True)
class Study:
    """One image of the datastore.

    Attributes:
        id: the datastore's own.
        image: its file on this machine.
        stamp: changes whenever the image does.
        final: its final label, where there is one.
    """

    id: str
    image: Path
    stamp: str
    final: FinalLabel | None = None

    def to_json(self) -> dict:
        """Plain JSON types."""
        entry: dict[str, Any] = {"id": self.id, "image": str(self.image), "stamp": self.stamp, "final": None}
        if self.final is not None:
            names = {str(value): name for value, name in self.final.names.items()}
            entry["final"] = {
                "path": str(self.final.path), "stamp": self.final.stamp, "names": names,
                "empty": self.final.empty,
            }  # fmt: skip
        return entry

    @classmethod
    def from_json(cls, entry: dict) -> Study:
        """The inverse of `to_json`."""
        final = entry["final"]
        if final is not None:
            names = {int(value): name for value, name in final["names"].items()}
            final = FinalLabel(Path(final["path"]), final["stamp"], names, bool(final.get("empty")))
        return cls(entry["id"], Path(entry["image"]), entry["stamp"], final)


def names_from_info(label_info: object) -> dict[int, str]:
    """Value -> name of a datastore's label_info, [{"name": ..., "idx": ...}], without malformed entries."""
    names: dict[int, str] = {}
    for entry in label_info if isinstance(label_info, list) else ():
        if not isinstance(entry, dict):
            continue
        value = str(entry.get("idx", entry.get("id")))
        name = str(entry.get("name") or "").strip()
        if name and value.isascii() and value.isdecimal() and len(value) <= LONGEST and int(value) > 0:
            names[int(value)] = name
    return names
