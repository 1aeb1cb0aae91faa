"""NRRD and MetaImage, through SimpleITK; Slicer's segmentations; their text headers."""
