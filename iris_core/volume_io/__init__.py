"""Files in, files out: images, labels and folders of cases.

NIfTI goes through nibabel; NRRD and MHA through SimpleITK, DICOM through pydicom, with LPS turned to RAS.
Whatever the format, arrays come in the file's own voxel order (i, j, k) and affines lead to RAS+ mm.
"""

from iris_core.volume_io.atomic import atomic_path
from iris_core.volume_io.folder.cases import Case, case_name, list_cases, survey
from iris_core.volume_io.folder.folder_entry import LeftOut
from iris_core.volume_io.not_an_image import NotAnImage
from iris_core.volume_io.read import read_image, read_label
from iris_core.volume_io.write import write_image, write_label

__all__ = [
    "Case",
    "LeftOut",
    "NotAnImage",
    "atomic_path",
    "case_name",
    "list_cases",
    "read_image",
    "read_label",
    "survey",
    "write_image",
    "write_label",
]
