"""The final labels of a MONAI Label studies folder, each with its image and the names of its values.

    STUDIES/IMAGE.ext   STUDIES/labels/final/IMAGE.ext   STUDIES/datastore_v2.json

The JSON says for every label what was saved with it: "label_info": [{"name": "liver", "idx": 1}, ...]. The
same value may mean another structure in another study, so structures are joined by name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume.label_names import is_ignored, read_json, read_label_names
from iris_core.volume_io import read_label
from iris_core.volume_io.label_header import label_table
from iris_core.volume_io.suffix import READABLE, SEGMENTATION, suffix_of

DATASTORE = "datastore_v2.json"
FINAL = "final"
NAME_FILES = ("labels.json", "dataset.json")  # of the whole folder, as the app reads them


@dataclass(frozen=True)
class FinalStudy:
    """A study that somebody has finished.

    Attributes:
        name: the image's id in the datastore.
        image: file of the study.
        label: file of its final label.
        names: label value -> structure. A structure named here and without a voxel was looked for.
        ignore: label value of voxels to ignore, where a name says so.
        ignores: the label holds such voxels, or may.
    """

    name: str
    image: Path
    label: Path
    names: Mapping[int, str]
    ignore: int | None = None
    ignores: bool = False


def final_studies(folder: Path, names: Mapping[int, str] | None = None) -> list[FinalStudy]:
    """Lists the finished studies, in name order.

    Args:
        folder: the studies folder.
        names: value -> structure, for labels that came without names (files put there by hand); None: those
            of labels.json or dataset.json in the folder. The value that they call "ignore" is to be ignored
            in every label that does not name it.

    Raises:
        InputError: no such datastore, no final label, one without an image, or one whose values have no name.
    """
    store = read_json(folder / DATASTORE) if (folder / DATASTORE).is_file() else None
    if not isinstance(store, dict):
        raise InputError(
            "is no studies folder of MONAI Label",
            where=folder,
            expected=DATASTORE,
            remedy="name the folder that the server was started with",
        )
    objects = store.get("objects", {})
    images = folder / store.get("images_dir", ".")
    place = folder / store.get("labels_dir", "labels") / FINAL
    files = [path for path in sorted(place.glob("*")) if suffix_of(path) and not path.name.startswith(".")]
    if not files:
        raise InputError("no study has a final label", where=place, remedy="submit labels first")
    shared = _folder_names(folder) if names is None else names
    studies = [_study(path, objects, images, shared) for path in files]
    nameless = [study.label.name for study in studies if not study.names]
    if nameless:
        raise InputError(
            "final labels came without names",
            where=place,
            found=", ".join(nameless),
            remedy='give --labels FILE, {"liver": 1, ...}, or submit them from the viewer',
        )
    return studies


def _folder_names(folder: Path) -> dict[int, str]:
    """Value -> structure, as a file in the studies folder says for all labels; empty where there is none."""
    files = [folder / name for name in NAME_FILES if (folder / name).is_file()]
    return read_label_names(files[0], ignored=True) if files else {}


def _study(label: Path, objects: Mapping, images: Path, names: Mapping[int, str]) -> FinalStudy:
    name = label.name[: -len(suffix_of(label))]
    entry = objects.get(name, {})
    candidates = [images / f"{name}{suffix}" for suffix in (entry.get("image", {}).get("ext", ""), *READABLE)]
    image = next((path for path in candidates if path.is_file()), None)
    if image is None:
        raise InputError("a final label has no image", where=label, expected=f"{name}.* in {images}")
    ignores = False
    if suffix_of(label) in SEGMENTATION:  # names of its own, and values that reading may renumber
        drawn = read_label(label)
        found, ignores = dict(drawn.names), drawn.ignored is not None
    else:
        info = entry.get("labels", {}).get(FINAL, {}).get("info", {}).get("label_info") or ()
        found = {int(row["idx"]): str(row["name"]).strip() for row in info if row.get("name")}
        table = label_table(label)
        found |= dict(table.names) if table is not None else {}
    found = {value: structure for value, structure in found.items() if value} or dict(names)
    known = {**{value: structure for value, structure in names.items() if is_ignored(structure)}, **found}
    ignore = next((value for value, structure in known.items() if is_ignored(structure)), None)
    found = {value: structure for value, structure in found.items() if value != ignore}
    if len(set(found.values())) < len(found):
        raise InputError(
            "two values of a label have one name", where=label, found=", ".join(map(str, found.items()))
        )
    return FinalStudy(name, image, label, found, ignore, ignores or ignore is not None)
