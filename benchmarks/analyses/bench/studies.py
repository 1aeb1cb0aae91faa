"""Labelled studies in memory, in RAS+ voxel order: of a dataset in nnU-Net's raw layout, or phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from iris_core.errors import InputError
from iris_core.task.reference import Reference
from iris_core.volume.label_grid import fit_label
from iris_core.volume.orientation import canonical_affine, to_canonical
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset
from sample_data import abdomen, head
from sample_data.make_phantoms import STUDIES, make_study

PHANTOMS = {"phantom-ct": abdomen, "phantom-mr": head}
PHANTOM_SEED = 20  # people that no test and no demo shows

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Study:
    """A labelled study.

    Args:
        name: of the case.
        group: of the set.
        image: RAS+ voxel order.
        label: in the image's grid.
    """

    name: str
    group: str
    image: Volume
    label: LabelVolume

    @property
    def reference(self) -> Reference:
        """The study as a reference."""
        return Reference(self.image, self.label, self.name)

    def within(self, box: Box) -> Study:
        """The part of the study that a box of voxels shows; it stays where it was in the patient."""
        affine = self.image.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [side.start or 0 for side in box]
        image = Volume(np.ascontiguousarray(self.image.array[box]), affine)
        return replace(self, image=image, label=self.with_label(self.label.array[box], affine).label)

    def with_label(self, array: np.ndarray, affine: np.ndarray | None = None) -> Study:
        """The study with other label voxels (and, for a part, its place)."""
        affine = self.image.affine if affine is None else affine
        label = LabelVolume(np.ascontiguousarray(array), affine, self.label.names)
        return replace(self, label=label)


def open_studies(spec: str, limit: int | None = None) -> list[Study]:
    """Reads the studies that a text names.

    Args:
        spec: FOLDER, FOLDER:31-60, FOLDER:a,b, phantom-ct, phantom-mr; phantoms take a range, too.
        limit: at most so many, from the first on.

    Raises:
        InputError: no such dataset or case, a broken file, a study without a label.
    """
    name, _, selection = spec.partition(":") if spec.startswith("phantom-") else spec.rpartition(":")
    if not name:
        name, selection = spec, ""
    if spec.startswith("phantom-"):
        studies = _phantoms(name, selection, limit)
    else:
        dataset = RawDataset.open(name)
        cases = dataset.chosen(selection or None)[:limit]
        studies = [
            _canonical(
                case.name, dataset.folder.name, read_image(case.image),
                read_label(case.label, labels=dataset.label_names),
            )
            for case in cases
        ]  # fmt: skip
    for study in studies:
        if not study.label.values:
            raise InputError("the label is empty", where=f"{study.group}, {study.name}")
    return studies


def shared_names(studies: Sequence[Study]) -> tuple[str, ...]:
    """The class names that all studies hold, by value.

    Raises:
        InputError: none.
    """
    first, *others = ({s.label.name_of(v): v for v in s.label.values} for s in studies)
    names = [n for n in first if all(n in other for other in others)]
    if not names:
        raise InputError("the studies share no class", where=", ".join(s.name for s in studies))
    return tuple(sorted(names, key=first.__getitem__))


def _phantoms(name: str, selection: str, limit: int | None) -> list[Study]:
    if name not in PHANTOMS:
        raise InputError("no such phantoms", where=name, expected=" or ".join(PHANTOMS))
    first, _, last = (selection or f"1-{STUDIES}").partition("-")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise InputError("no such range of phantoms", where=name, expected="A-B", found=selection)
    anatomy = PHANTOMS[name]
    names = {value: word for word, value in anatomy.LABELS.items()}
    studies = []
    for number in list(range(int(first) - 1, int(last)))[:limit]:
        image, label = make_study(anatomy, PHANTOM_SEED, number)
        volume = Volume(np.asarray(image.dataobj, np.float32), image.affine)
        labels = LabelVolume(np.asarray(label.dataobj), label.affine, names)
        studies.append(_canonical(f"{name}_{number + 1:02d}", name, volume, labels))
    return studies


def _canonical(name: str, group: str, image: Volume, label: LabelVolume) -> Study:
    label = fit_label(label, image)
    affine = canonical_affine(image.affine, image.shape)
    turned = [np.ascontiguousarray(to_canonical(v.array, image.affine)) for v in (image, label)]
    return Study(name, group, Volume(turned[0], affine), LabelVolume(turned[1], affine, label.names))
