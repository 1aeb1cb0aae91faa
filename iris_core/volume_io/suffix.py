"""The file formats by their suffix."""

from __future__ import annotations

from pathlib import Path

NIFTI = (".nii.gz", ".nii")
PAIR = (".hdr", ".img")  # NIfTI in two files: header and voxels
MGH = (".mgz", ".mgh")  # FreeSurfer's
SEGMENTATION = (".seg.nrrd",)
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
READABLE = (*NIFTI, *PAIR, *MGH, *SEGMENTATION, *NRRD, *META)
DICOM = (".dcm", ".ima")  # usual, but not needed: what a file holds decides
WRITABLE = (*NIFTI, *SEGMENTATION, ".nrrd", ".mha")


def suffix_of(path: Path) -> str:
    """The longest known suffix of a file name, lower case; "" where none is known."""
    name = path.name.lower()
    return next((suffix for suffix in READABLE if name.endswith(suffix)), "")
