"""DICOM images for the tests of reading: plain series and enhanced multi-frame files, written by pydicom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tests.seg_files import file_of, save

CT, MR, PET, CAPTURE = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.7",
)
ENHANCED_CT, ENHANCED_MR, NUCLEAR = (
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.20",
)
MODALITIES = {
    CT: "CT",
    MR: "MR",
    PET: "PT",
    CAPTURE: "OT",
    ENHANCED_CT: "CT",
    ENHANCED_MR: "MR",
    NUCLEAR: "NM",
}
Change = Callable[[object, int], None]  # edits a data set, told the number of its slice or frame


OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag(
    [-0.75, -1.25, 2.5]
)
OBLIQUE[:3, 3] = [-101.25, 22.125, 3.5]
AXIAL = np.diag([-0.75, -1.25, 2.5, 1.0])
AXIAL[:3, 3] = [60, 50, -700]


def lps_of(affine: np.ndarray) -> np.ndarray:
    """Voxel -> LPS mm of voxel -> RAS mm, written by hand."""
    return np.diag([-1, -1, 1, 1]) @ affine


def numbers(shape: tuple[int, int, int] = (8, 9, 10), seed: int = 0) -> np.ndarray:
    """(I, J, K) int16."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def write_series(
    folder: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    *,
    sop_class: str = CT,
    series: str = "1.2.3.1",
    name: str = "thin",
    change: Change = lambda dataset, k: None,
) -> list[Path]:
    """Writes (I, J, K) int16 as one file a slice, file names in another order than the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for k in range(voxels.shape[2]):
        dataset = _image(sop_class, series, name, voxels[:, :, k])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series}.{k + 1}"
        dataset.InstanceNumber = (k * 3) % voxels.shape[2] + 1  # scanners may number as they like
        place, spacing = plane(affine, k)
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = place
        dataset.PixelSpacing, dataset.SliceThickness = spacing[:2], spacing[2]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        change(dataset, k)
        files.append(save(dataset, folder / f"{name}{k * 7 % voxels.shape[2]:03d}.dcm"))
    return files


def write_enhanced(
    path: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    *,
    order: Sequence[int] | None = None,
    sop_class: str = ENHANCED_MR,
    series: str = "1.2.3.9",
    shared: Change = lambda group, number: None,
    frame: Change = lambda group, number: None,
    change: Change = lambda dataset, number: None,
) -> Path:
    """Writes (I, J, K) int16 as one multi-frame file.

    Args:
        path: where to.
        voxels: slice k is a frame.
        affine: voxel -> RAS mm; orientation and pixel sizes are shared, positions are the frames' own.
        order: slices in the order in which frames are stored; one may be left out or stored twice.
        sop_class: the kind of object.
        series: its UID.
        shared: edits the shared functional groups.
        frame: edits a frame's functional groups, told its number in the file.
        change: edits the whole.
    """
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    order = list(range(voxels.shape[2]) if order is None else order)
    dataset = _image(sop_class, series, "enhanced", voxels[:, :, 0])
    dataset.NumberOfFrames, dataset.InstanceNumber = len(order), 1
    dataset.PixelData = b"".join(
        np.ascontiguousarray(voxels[:, :, k].T.astype("<i2")).tobytes() for k in order
    )
    common, measures, orientation = Dataset(), Dataset(), Dataset()
    (_, axes), spacing = plane(affine, 0)
    measures.PixelSpacing, measures.SliceThickness = spacing[:2], spacing[2]
    orientation.ImageOrientationPatient = axes
    common.PixelMeasuresSequence, common.PlaneOrientationSequence = Items([measures]), Items([orientation])
    shared(common, 0)
    groups = []
    for number, k in enumerate(order):
        group, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = plane(affine, k)[0][0]
        content.StackID, content.InStackPositionNumber = "1", k + 1
        group.PlanePositionSequence, group.FrameContentSequence = Items([position]), Items([content])
        frame(group, number)
        groups.append(group)
    dataset.SharedFunctionalGroupsSequence = Items([common])
    dataset.PerFrameFunctionalGroupsSequence = Items(groups)
    change(dataset, 0)
    return save(dataset, path)


def rescaled(group: object, slope: float, intercept: float) -> None:
    """Gives functional groups a rescaling."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    values = Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, intercept, "US"
    group.PixelValueTransformationSequence = Items([values])


def plane(affine: np.ndarray, k: int) -> tuple[tuple[list, list], list]:
    """((position, orientation) in LPS, [row mm, column mm, slice mm]) of slice k."""
    lps = lps_of(affine)
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    position = [float(f"{part:.10g}") for part in (lps @ [0, 0, k, 1])[:3]]
    axes = [float(f"{part:.10g}") for part in (lps[:3, :2] / sizes[:2]).T.ravel()]
    return (position, axes), [float(f"{sizes[axis]:.8g}") for axis in (1, 0, 2)]


def without_preamble(path: Path) -> Path:
    """Cuts off preamble, mark and file header, as a network hands files over."""
    import pydicom

    dataset = pydicom.dcmread(path)
    raw = path.read_bytes()
    start = 132 + 12 + int(dataset.file_meta.FileMetaInformationGroupLength)
    path.write_bytes(raw[start:])
    return path


def compress(path: Path, plane_values: np.ndarray, kind: str, signed: bool) -> None:
    """Stores the pixels of a one-frame file without loss as "RLE", "JPEG2000", "JPEG" or "JPEG-LS"."""
    import pydicom

    dataset = pydicom.dcmread(path)
    if kind == "RLE":
        dataset.PixelRepresentation = int(signed)
        dataset.compress(pydicom.uid.RLELossless)
    elif kind == "JPEG-LS":
        dataset.PixelRepresentation = int(signed)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
        plane = np.ascontiguousarray(plane_values.T)
        dataset.PixelData = pydicom.encaps.encapsulate([_jpeg_ls(plane.view("u2"))])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    else:
        packed = packed_by_itk(path.with_name("packed"), plane_values, kind, signed)
        dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        for name in ("PixelRepresentation", "BitsStored", "HighBit"):
            setattr(dataset, name, getattr(packed, name))
        dataset["PixelData"] = packed["PixelData"]
    save(dataset, path)


def _jpeg_ls(plane_values: np.ndarray) -> bytes:
    """A plane of unsigned numbers in JPEG-LS, by whichever encoder is there."""
    import pytest

    if find_spec("jpeg_ls"):
        return bytes(pytest.importorskip("jpeg_ls").encode_array(plane_values))
    return pytest.importorskip("imagecodecs").jpegls_encode(plane_values)


def packed_by_itk(path: Path, plane_values: np.ndarray, kind: str, signed: bool) -> object:
    """A data set with the pixels of one plane, compressed by ITK; the file is gone again."""
    import pydicom
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(plane_values.T).astype("i2" if signed else "u2"))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(kind)
    writer.Execute(image)
    packed = pydicom.dcmread(path)
    path.unlink()
    return packed


def rewrite(path: Path, syntax: str) -> Path:
    """Stores a file in another plain transfer syntax: "implicit", "big endian" or "deflated"."""
    import pydicom
    from pydicom import uid

    dataset = pydicom.dcmread(path)
    implicit, little = syntax == "implicit", syntax != "big endian"
    names = {"implicit": uid.ImplicitVRLittleEndian, "big endian": uid.ExplicitVRBigEndian}
    dataset.file_meta.TransferSyntaxUID = names.get(syntax, uid.DeflatedExplicitVRLittleEndian)
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    if int(pydicom.__version__.split(".")[0]) >= 3:
        pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    else:
        dataset.is_implicit_VR, dataset.is_little_endian = implicit, little
        dataset.save_as(path, write_like_original=False)
    return path


def _image(sop_class: str, series: str, name: str, plane_values: np.ndarray) -> object:
    """The elements of any image of int16 pixels; one frame."""
    dataset = file_of(sop_class, MODALITIES[sop_class])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
        "1.2.3",
        series,
        "1.2.3.4",
    )
    dataset.SeriesNumber, dataset.SeriesDescription = 1, name
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Columns, dataset.Rows = plane_values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = np.ascontiguousarray(plane_values.T.astype("<i2")).tobytes()
    return dataset


def remove(*names: str) -> Change:
    """A change that takes attributes out."""

    def change(dataset, _: int) -> None:
        for name in names:
            if name in dataset:
                delattr(dataset, name)

    return change


def both(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(dataset, k: int) -> None:
        for one in changes:
            one(dataset, k)

    return change
