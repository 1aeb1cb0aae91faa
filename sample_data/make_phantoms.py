"""Writes the sample studies.

    python -m sample_data.make_phantoms FOLDER

Two sets in nnU-Net raw layout: a CT-like trunk and an MR-like head, with exact labels.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np

from sample_data import abdomen, head
from sample_data.canvas import Canvas
from sample_data.scan import points_of
from sample_data.subject import Subject

ANATOMIES = (abdomen, head)
STUDIES = len(abdomen.SCANS)
OFF_CENTRE = 8.0  # mm by which a patient lies off the middle of the field of view, at most

log = logging.getLogger(__name__)


def make_phantoms(folder: str | Path, seed: int = 0, studies: int = STUDIES) -> list[Path]:
    """Writes both sets, the same voxels for the same seed.

    Args:
        folder: Where the sets go; made if it is not there.
        seed: Which people; study number n of a seed is the same whatever `studies` is.
        studies: How many of each set. Grids repeat after the sixth.

    Returns:
        The folders of the two sets, each with imagesTr, labelsTr and dataset.json.
    """
    return [_write_set(Path(folder), anatomy, seed, studies) for anatomy in ANATOMIES]


def make_study(anatomy: ModuleType, seed: int, number: int) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """One person's image (int16) and label (uint8) on the grid that study `number` is scanned on."""
    rng = np.random.default_rng((seed, ANATOMIES.index(anatomy), number))
    scan = anatomy.SCANS[number % len(anatomy.SCANS)]
    subject = Subject(rng)
    affine, shape = scan.grid(anatomy.EXTENT, rng.uniform(-OFF_CENTRE, OFF_CENTRE, 3))
    canvas = Canvas(subject.to_atlas(points_of(affine, shape)), edge=float(np.mean(scan.spacing)))
    anatomy.draw(canvas, subject)
    image = anatomy.degrade(canvas.image, rng)
    return scan.stored(image, affine), scan.stored(canvas.label, affine)


def _write_set(folder: Path, anatomy: ModuleType, seed: int, studies: int) -> Path:
    target = folder / anatomy.NAME
    case_prefix = anatomy.NAME.split("_", 1)[1].lower()
    for part in ("imagesTr", "labelsTr"):
        (target / part).mkdir(parents=True, exist_ok=True)
    for number in range(studies):
        image, label = make_study(anatomy, seed, number)
        case = f"{case_prefix}_{number + 1:02d}"
        nib.save(image, target / "imagesTr" / f"{case}_0000.nii.gz")
        nib.save(label, target / "labelsTr" / f"{case}.nii.gz")
        log.info("%s %s %s", target.name, case, image.shape)
    description = {
        "channel_names": {"0": anatomy.CHANNEL},
        "labels": {"background": 0, **anatomy.LABELS},
        "numTraining": studies,
        "file_ending": ".nii.gz",
    }
    (target / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return target


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description="Write the sample studies in nnU-Net raw layout.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--studies", type=int, default=STUDIES, help="how many of each set")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_phantoms(arguments.folder, arguments.seed, arguments.studies)


if __name__ == "__main__":
    main()
