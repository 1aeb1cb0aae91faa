"""A volume as a DICOM series: one plain CT or MR image a slice. For sample studies, not for patients."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from iris_core.volume.volume import Volume
from iris_core.volume_io.itk.images import LPS_TO_RAS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}


def series_files(volume: Volume, modality: str, patient: str, description: str) -> Iterator[bytes]:
    """The files of a new study that holds one series.

    Args:
        volume: whole numbers that fit 16 bits.
        modality: "CT" or "MR".
        patient: name and id.
        description: of study and series.
    """
    from pydicom.uid import generate_uid

    affine = LPS_TO_RAS @ volume.affine
    array = np.rint(volume.array).astype(np.int16)
    if np.linalg.det(affine[:3, :3]) < 0:  # slices follow the normal of their plane
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, array.shape[2] - 1], [0, 0, 0, 1]])
        array = array[:, :, ::-1]
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(array.shape[2]):
        dataset = _slice(modality)
        dataset.PatientName = dataset.PatientID = patient
        dataset.StudyDescription = dataset.SeriesDescription = description
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (
            study,
            series,
            frame,
        )
        dataset.InstanceNumber = k + 1
        dataset.PixelSpacing = [f"{sizes[1]:.6f}", f"{sizes[0]:.6f}"]
        dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{sizes[2]:.6f}"
        dataset.ImageOrientationPatient = [f"{x:.8f}" for x in (affine[:3, :2] / sizes[:2]).T.ravel()]
        dataset.ImagePositionPatient = [f"{x:.6f}" for x in (affine @ [0, 0, k, 1])[:3]]
        dataset.Columns, dataset.Rows = array.shape[:2]
        dataset.PixelData = np.ascontiguousarray(array[:, :, k].T).tobytes()
        file = BytesIO()
        dataset.save_as(file, write_like_original=False)
        yield file.getvalue()


def _slice(modality: str) -> Dataset:
    """What is the same in every image."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(CLASSES[modality])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Modality = modality
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.StudyID = dataset.SeriesNumber = dataset.AccessionNumber = "1"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "Iris sample data"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    if modality == "CT":
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "40", "400"
        dataset.KVP = ""
    else:
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SP", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "3D", "", ""
    return dataset
