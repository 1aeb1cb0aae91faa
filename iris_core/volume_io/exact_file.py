"""Opening exactly the file that is asked for: nibabel alone reads d.nii where D.Nii is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from iris_core.volume_io.suffix import MGH, PAIR, suffix_of

HEADER_BYTES = 540  # of NIfTI-2, the longer one


def open_exactly(path: Path) -> SpatialImage:
    """Opens a file by nibabel, whatever the case of its suffix; the voxels are not read yet.

    What nibabel repairs in a header it logs without the file's name, so those lines are kept back here; the
    readers warn of what matters.

    Raises:
        ImageFileError, OSError and others of nibabel's: the file cannot be read.
    """
    with _quiet():
        return _opened(path)


def _opened(path: Path) -> SpatialImage:
    suffix = suffix_of(path)
    if path.name.endswith(suffix) or not path.is_file():
        opened = nib.load(path)
        if not isinstance(opened, SpatialImage):
            raise ImageFileError("is no image in space")
        return opened
    if suffix in PAIR:
        return _pair(path, suffix)
    holder = nib.FileHolder(filename=str(path))
    files = {"image": holder, "header": holder}
    if suffix in MGH:
        return nib.MGHImage.from_file_map(files)
    with nib.openers.ImageOpener(str(path), "rb") as file:
        start = file.read(HEADER_BYTES)
    for kind, header in ((nib.Nifti1Image, nib.Nifti1Header), (nib.Nifti2Image, nib.Nifti2Header)):
        if header.may_contain_header(start):
            return kind.from_file_map(files)
    raise ImageFileError("is of no kind that is known")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps nibabel's log of header repairs off the terminal."""
    logger = nib.imageglobals.logger
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _pair(path: Path, suffix: str) -> nib.Nifti1Pair:
    """A pair of which one file is named; the other has the same name, with the suffix in any letters."""
    wanted = PAIR[1 - PAIR.index(suffix)]
    others = [one for one in path.parent.iterdir() if one.stem == path.stem and one.suffix.lower() == wanted]
    if not others:
        raise ImageFileError(f"the other file of the pair ({wanted}) is missing")
    files = {suffix: path, wanted: others[0]}
    holders = {part: nib.FileHolder(filename=str(file)) for part, file in files.items()}
    return nib.Nifti1Pair.from_file_map({"header": holders[PAIR[0]], "image": holders[PAIR[1]]})
