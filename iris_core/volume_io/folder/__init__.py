"""Folders of studies: which entries are cases, and nnU-Net's raw layout."""
