"""The final labels of a MONAI Label studies folder as a raw dataset."""
