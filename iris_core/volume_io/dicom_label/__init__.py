"""Segmentations in DICOM: a SEG file, or the folder that holds one."""

from iris_core.volume_io.dicom_label.load import load

__all__ = ["load"]
