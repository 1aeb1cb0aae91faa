"""Sample studies for `iris serve --demo`: two kinds in one folder, the first of each labelled."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from iris_core.volume_io import read_label, write_label
from iris_core.volume_io.folder.raw_dataset import RawDataset


def make_demo_studies(folder: Path, studies: int = 4) -> None:
    """Writes CT-like and MR-like phantoms; a folder that holds images already is left as it is.

    Args:
        folder: made where it is missing.
        studies: of each kind.
    """
    from sample_data.make_phantoms import make_phantoms

    if any(folder.glob("*.nii.gz")):
        return
    finals = folder / "labels" / "final"
    finals.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for dataset in map(RawDataset.open, make_phantoms(scratch, studies=studies)):
            for number, case in enumerate(dataset.cases):
                if number == 0:  # a format that carries the names of its classes
                    label = read_label(case.label, labels=dataset.label_names)
                    drawn = finals / f"{case.name}.seg.nrrd"
                    write_label(label, drawn)
                    drawn.rename(finals / f"{case.name}.nrrd")
                shutil.copy(case.image, folder / f"{case.name}.nii.gz")
