"""DICOM files for the tests of labels: a CT series and what was drawn on it, by pydicom and highdicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: voxel -> LPS mm of the series: rows and columns turned against the patient, slices 2.5 mm apart
PLACE = np.array([[0.8, 0, 0, -30], [0, 0.8, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])
CONTOURS = "1.2.840.10008.5.1.4.1.1.481.3"


def file_of(sop_class: str, modality: str):
    """A dataset that can be saved, with the elements that every DICOM file has."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "P1", "A^B"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.AccessionNumber = "", "", ""
    dataset.StudyID, dataset.StudyDate, dataset.StudyTime = "1", "20240101", "000000"
    dataset.ReferringPhysicianName = ""
    return dataset


def save(dataset, path: Path) -> Path:
    """Writes a dataset as a DICOM file, under either pydicom."""
    import pydicom

    if int(pydicom.__version__.split(".")[0]) >= 3:
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        dataset.save_as(path, write_like_original=False)
    return path


def ct_series(folder: Path, voxels: np.ndarray) -> list:
    """Writes (I, J, K) int16 voxels as a CT series; gives its datasets in the order of k."""
    from pydicom.uid import CTImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame, slices = generate_uid(), generate_uid(), generate_uid(), []
    for k in range(voxels.shape[2]):
        one = file_of(CTImageStorage, "CT")
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.SeriesNumber, one.InstanceNumber = 1, k + 1
        one.PositionReferenceIndicator, one.ImageType = "", ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.ImagePositionPatient = [float(part) for part in (PLACE @ [0, 0, k, 1])[:3]]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness = [0.8, 0.8], 2.5
        one.Columns, one.Rows, one.SamplesPerPixel = voxels.shape[0], voxels.shape[1], 1
        one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 1
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.PixelData = np.ascontiguousarray(voxels[:, :, k].T.astype("<i2")).tobytes()
        save(one, folder / f"slice{k:03d}.dcm")
        slices.append(one)
    return slices


def segmentation(slices: list, masks: np.ndarray, names: list[str], kind: str = "BINARY", **options):
    """A SEG by highdicom of (S, I, J, K) masks."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    tissue, described = codes.SCT.Tissue, []
    for number, name in enumerate(names, start=1):
        track = {"tracking_uid": hd.UID(), "tracking_id": name}
        described.append(hd.seg.SegmentDescription(number, name, tissue, tissue, "MANUAL", **track))
    pixels = masks.transpose(3, 2, 1, 0)  # (k, j, i, S)
    pixels = pixels.astype(np.float32 if kind == "FRACTIONAL" else np.uint8)
    if kind == "LABELMAP":
        pixels = (pixels * np.arange(1, len(names) + 1, dtype=np.uint8)).max(axis=-1)
    return hd.seg.Segmentation(
        slices, pixels, kind, described, hd.UID(), 2, hd.UID(), 1, "maker", "model", "1", "0", **options
    )


def contours(path: Path) -> Path:
    """Writes an RTSTRUCT with one contour."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    dataset, region, drawn, contour = file_of(CONTOURS, "RTSTRUCT"), Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName = 1, "liver"
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 3
    contour.ContourData = [0, 0, 100, 5, 0, 100, 0, 5, 100]
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, Sequence([contour])
    dataset.StructureSetROISequence = Sequence([region])
    dataset.ROIContourSequence = Sequence([drawn])
    return save(dataset, path)
