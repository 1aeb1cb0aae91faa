"""DICOM images: a series in a folder, or one multi-frame file.

files.py finds the files of each series, frame.py tells where each of their frames lies, stack.py puts the
frames into one volume or refuses them, one_volume.py chooses where there are several series, pixels.py
decodes the stored values, load.py joins them.
"""

from iris_core.volume_io.dicom.files import holds_dicom
from iris_core.volume_io.dicom.load import load

__all__ = ["holds_dicom", "load"]
