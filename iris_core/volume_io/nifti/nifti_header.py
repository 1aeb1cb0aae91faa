"""The place that a NIfTI header states: units, sform, qform, and how nibabel and ITK read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from iris_core.remarks import remark
from iris_core.triple import triple
from iris_core.volume.placement import ITK, UNITLESS, Placement, mm_apart, voxels_apart
from iris_core.volume_io.itk import images as itk

#: The header fields that place voxels; a result takes them over unchanged.
FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
SPACE_UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code -> mm; 0 is "not stated" and counts as mm
SPACE_BITS = 7  # of xyzt_units; the others are the unit of time
SAME_VOXELS = 0.01  # two places closer than this are one
WARNED_VOXELS = 0.5  # two places farther apart than this are warned of
VIEWERS = "ITK (ITK-SNAP, 3D Slicer)"
PIXDIM_TOLERANCE = 1e-5  # relative, by which a voxel size may differ from its column of the sform
AXES_TOLERANCE = 1e-4  # of the cosine between two axes that are at right angles


def affine_of(image: nib.Nifti1Pair) -> np.ndarray:
    """The place that nibabel reads, in mm whatever the header's unit: (4, 4) float64, voxel -> RAS+ mm."""
    affine = image.affine
    if affine is None:
        return np.full((4, 4), np.nan)
    return _in_mm(affine, image.header)


def placement_of(image: nib.Nifti1Pair, path: Path) -> Placement:
    """All that a header says of the place of its voxels.

    Warns of a header without a form, of an unknown unit, and of places more than half a voxel apart.

    Args:
        image: as nibabel opened it.
        path: its file; ITK is asked about it where it may read another place than nibabel.
    """
    header, shape = image.header, triple((*image.shape[:3], 1, 1)[:3])
    affine, fields, others = affine_of(image), _fields(path, header), {}
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        return Placement(fields, shape, affine)  # the reader refuses it
    qform = _qform(header) if header["sform_code"] and header["qform_code"] else None
    if qform is not None and voxels_apart(qform, affine, shape) > SAME_VOXELS:
        others["qform"] = qform
    if others or not _plain(header, affine, fields["pixdim"]):
        read = itk.place_of(path)
        if read is not None and voxels_apart(read, affine, shape) > SAME_VOXELS:
            others[ITK] = read
    if scale_of(header) != 1:  # nibabel.Nifti1Image(label, image.affine) keeps the numbers and drops the unit
        others[UNITLESS] = np.asarray(image.affine, dtype=np.float64)
    placement = Placement(fields, shape, affine, others)
    _warn(path, header, placement)
    return placement


def scale_of(header: nib.Nifti1Header) -> float:
    """How many mm the header's unit of length has; 1 where it states none that is known."""
    return SPACE_UNITS.get(int(header["xyzt_units"]) & SPACE_BITS, 1.0)


def _in_mm(affine: np.ndarray, header: nib.Nifti1Header) -> np.ndarray:
    scale = scale_of(header)
    return np.diag([scale, scale, scale, 1.0]) @ np.asarray(affine, dtype=np.float64)


def _qform(header: nib.Nifti1Header) -> np.ndarray | None:
    """The qform in mm; None where its numbers are no rotation."""
    try:
        qform = _in_mm(header.get_qform(), header)
    except (HeaderDataError, ValueError):
        return None
    return qform if np.isfinite(qform).all() and np.linalg.det(qform[:3, :3]) else None


def _plain(header: nib.Nifti1Header, affine: np.ndarray, pixdim: np.ndarray) -> bool:
    """Whether every reader must find the one place that the header states.

    Args:
        header: as nibabel reads it.
        affine: that nibabel reads, in mm.
        pixdim: as stored: the sign of the qform's third axis, and the voxel sizes.
    """
    sign, sizes = float(pixdim[0]), pixdim[1:]
    if not (sizes > 0).all():
        return False
    if not header["sform_code"]:
        return bool(header["qform_code"]) and sign in (-1.0, 0.0, 1.0)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    sized = np.allclose(sizes * scale_of(header), lengths, rtol=PIXDIM_TOLERANCE)
    axes = affine[:3, :3] / lengths
    return bool(sized and np.allclose(axes.T @ axes, np.eye(3), atol=AXES_TOLERANCE))


def _fields(path: Path, header: nib.Nifti1Header) -> dict[str, Any]:
    """The fields as they stand in the file; nibabel repairs some when it opens one, ITK does so otherwise."""
    try:
        holder = header.__class__
        name = path.with_suffix(".hdr") if path.suffix.lower() == ".img" else path
        with nib.openers.Opener(str(name)) as file:
            header = holder.from_fileobj(file, check=False)
    except (OSError, EOFError, HeaderDataError):
        pass  # an unusual pair of names: nibabel's reading serves
    fields: dict[str, Any] = {name: np.array(header[name]) for name in FIELDS}
    fields["pixdim"] = np.array(header["pixdim"][:4])
    return fields


def _warn(path: Path, header: nib.Nifti1Header, placement: Placement) -> None:
    if int(header["xyzt_units"]) & SPACE_BITS not in SPACE_UNITS:
        remark(path, "its code for the unit of length is unknown; its numbers are taken as mm")
    for name in ("qform_code", "sform_code"):
        stored = int(placement.fields[name])
        if stored != int(header[name]):  # nibabel repairs a code that there is not
            remark(path, f"{name} {stored} is no code of NIfTI; that form is passed over")
    if not header["sform_code"] and not header["qform_code"]:
        remark(
            path,
            "has neither sform nor qform; left and right are a guess, and each viewer places it in its own "
            "way; its result keeps the header as it is",
        )
        return
    affine, shape = placement.affine, placement.shape
    far = {
        name: f"up to {mm_apart(other, affine, shape):.1f} mm apart"
        for name, other in placement.others.items()
        if voxels_apart(other, affine, shape) > WARNED_VOXELS
    }
    if "qform" in far:
        codes = [int(header[name]) for name in ("sform_code", "qform_code")]
        viewers = f", {VIEWERS} the qform" if ITK in far else ""
        remark(
            path,
            f"sform (code {codes[0]}) and qform (code {codes[1]}) place the voxels {far['qform']}; "
            f"Iris and nibabel read the sform{viewers}; its result keeps both",
        )
    elif ITK in far:
        remark(
            path,
            f"nibabel, which Iris follows, and {VIEWERS} place the voxels {far[ITK]}, since the voxel sizes "
            "or the sign in pixdim do not go with the form; its result keeps the header as it is",
        )
