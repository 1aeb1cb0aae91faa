"""A peer whose results lie in files: any method that segments the same queries with the same references.

FOLDER/<set index>/<query>.nii.gz    label map in the query's own grid, the dataset's label values
FOLDER/peer.json                     for which references, and what each result cost (optional)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iris_core.errors import InputError
from iris_core.evaluation.cost import Cost
from iris_core.evaluation.pairs import ReferenceSet
from iris_core.volume.label_grid import fit_label
from iris_core.volume.label_names import read_json
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import atomic_path, read_label, write_label

SHEET = "peer.json"


@dataclass
class PeerFolder:
    """Reads and writes the results of an outside method.

    Attributes:
        folder: where they lie.
        sets: what they were made for: per set the names of references and queries; empty if not known.
        costs: "SET/QUERY" -> what that result cost.
        about: other facts of the method, plain JSON types.
    """

    folder: Path
    sets: list[dict[str, list[str]]] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path, sets: Sequence[ReferenceSet]) -> PeerFolder:
        """Opens results to be compared on these sets.

        Raises:
            InputError: no such folder, a broken peer.json, or results that were made with other references.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(
                "no such folder of results", where=folder, expected="SET/QUERY.nii.gz files in it"
            )
        sheet = read_json(folder / SHEET) if (folder / SHEET).is_file() else {}
        try:
            found = cls(
                folder,
                list(sheet.get("sets", [])),
                {key: Cost(**cost) for key, cost in sheet.get("costs", {}).items()},
                dict(sheet.get("about", {})),
            )
        except (AttributeError, TypeError, ValueError):
            raise InputError(
                "is no record of a peer", where=folder / SHEET, remedy="remove it, or make the results anew"
            ) from None
        for index, (own, asked) in enumerate(zip(found.sets, described(sets), strict=False)):
            if own["references"] != asked["references"]:
                raise InputError(
                    f"the results of set {index} were made with other references",
                    where=folder,
                    expected=", ".join(asked["references"]),
                    found=", ".join(own["references"]),
                    remedy="draw as for the results: the same --cases, --references, --shots and --seed",
                )
        return found

    @classmethod
    def start(cls, folder: str | Path, sets: Sequence[ReferenceSet]) -> PeerFolder:
        """Makes a folder to write results into; one that holds results for the same sets goes on.

        Raises:
            InputError: it holds results made with other references.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        found = cls.open(folder, sets)
        found.sets = described(sets)
        found.write_sheet()
        return found

    def path(self, set_index: int, query: str) -> Path:
        """The file of one result."""
        return self.folder / str(set_index) / f"{query}.nii.gz"

    def read(self, set_index: int, query: str, image: Volume) -> LabelVolume:
        """Reads one result; an InputError says that it is missing or not in the image's grid."""
        path = self.path(set_index, query)
        if not path.is_file():
            raise InputError("no result", where=path, expected="a label map in the query's own grid")
        return fit_label(read_label(path), image)

    def cost(self, set_index: int, query: str) -> Cost | None:
        """What one result cost, if the method's sheet says so."""
        return self.costs.get(f"{set_index}/{query}")

    def write(self, set_index: int, query: str, label: LabelVolume, cost: Cost) -> None:
        """Writes one result and what it cost."""
        path = self.path(set_index, query)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label(label, path)
        self.costs[f"{set_index}/{query}"] = cost
        self.write_sheet()

    def tell(self, **about: object) -> None:
        """Adds facts of the method to its sheet."""
        self.about |= about
        self.write_sheet()

    def write_sheet(self) -> None:
        """Writes the sheet: what the results were made for, their costs, and facts of the method."""
        costs = {key: vars(cost) for key, cost in self.costs.items()}
        data = {"sets": self.sets, "costs": costs, "about": self.about}
        with atomic_path(self.folder / SHEET) as hidden:
            hidden.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def described(sets: Sequence[ReferenceSet]) -> list[dict[str, list[str]]]:
    """Names of references and queries, per set."""
    return [
        {"references": [case.name for case in one.references], "queries": [case.name for case in one.queries]}
        for one in sets
    ]
