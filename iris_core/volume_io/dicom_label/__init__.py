"""Segmentations in DICOM: a SEG file, or the folder that holds one. `load` finds and reads it."""
