"""A studies folder for the app without its host: images, final labels, and a tiny network that reads them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from apps.iris_app.catalogue.catalogue import Catalogue
from apps.iris_app.catalogue.study import FinalLabel, Study
from apps.iris_app.computing.annotator import Annotator
from apps.iris_app.lib.state import State, stamp
from iris_core.checkpoint import save_model
from tests import tiny

NAMES = {1: "bright", 4: "dark"}


class AppFolder:
    """Studies case_1 .. case_n, none labelled yet.

    Args:
        root: where all lies.
        count: studies.
        shape: of each, voxels of 2 mm.
    """

    def __init__(self, root: Path, count: int = 3, shape: tuple[int, int, int] = (24, 26, 22)) -> None:
        self.root, self.shape = root, shape
        self.names: dict[str, dict[int, str]] = {}
        self.weights = root / "tiny.safetensors"
        root.mkdir(parents=True, exist_ok=True)
        meta = {"preset": "tiny", **tiny.quick("mirroring")}
        save_model(self.weights, tiny.network(), meta)
        self.ids = [f"case_{n}" for n in range(1, count + 1)]
        for number, name in enumerate(self.ids):
            image, _ = tiny.study(number, shift=number % 3, shape=self.shape)
            nib.save(nib.Nifti1Image(image.array, image.affine), root / f"{name}.nii.gz")
        self.state = State(root / ".iris")
        self.catalogue = Catalogue(self.state, root)
        self.refresh()

    def label(self, name: str, *, values: dict[int, int] | None = None, names=None) -> Path:
        """Makes a label final, with other values or names where wanted; gives its file."""
        number = self.ids.index(name)
        _, label = tiny.study(number, shift=number % 3, shape=self.shape)
        array = np.zeros_like(label.array)
        for old, new in (values or {1: 1, 4: 4}).items():
            array[label.array == old] = new
        path = self.root / "labels" / "final" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, label.affine), path)
        self.names[name] = NAMES if names is None else names
        self.refresh()
        return path

    def studies(self) -> list[Study]:
        """What a datastore would say."""
        found = []
        for name in self.ids:
            path, final = self.root / "labels" / "final" / f"{name}.nii.gz", None
            if path.is_file():
                final = FinalLabel(path, stamp(path), self.names.get(name, {}))
            image = self.root / f"{name}.nii.gz"
            found.append(Study(name, image, stamp(image), final))
        return found

    def refresh(self) -> bool:
        """Takes over what lies in the folder."""
        return self.catalogue.refresh(self.studies())

    def annotator(self) -> Annotator:
        """A new one, as a new process would have."""
        return Annotator(self.state, self.weights)
