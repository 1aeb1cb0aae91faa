"""What a file's header says about label values, without reading a voxel: is it a label, and is it our own?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.itk.text_header import text_header
from iris_core.volume_io.nifti.images import UNREADABLE
from iris_core.volume_io.nifti.label_table import CODES, LabelTable, from_xml
from iris_core.volume_io.suffix import NIFTI, PAIR, suffix_of

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Extension

TEXT_FIELD = re.compile(r"^(\S+?)\s*(?::=|=)\s?(.*)$", re.MULTILINE)


def label_table(path: Path) -> LabelTable | None:
    """Names, colours and software that a header tells.

    Args:
        path: a file of any kind.

    Returns:
        None where the header holds no such table, or cannot be read (whoever reads the voxels will say so).
    """
    suffix = suffix_of(path)
    if suffix in (*NIFTI, *PAIR):
        return _nifti_table(path)
    return _text_table(path) if suffix else None


def why_no_image(path: Path) -> str | None:
    """Why a file is a segmentation and no image, as its header says; None where nothing speaks against it."""
    if not path.is_file():
        return None
    table = label_table(path)
    if table is None:
        return None
    if table.own:
        return "is a segmentation that Iris wrote, not an image"
    if table.names:
        shown = ", ".join(list(table.names.values())[:3])
        return f"is a segmentation, not an image: its header names label values ({shown})"
    return None


def _nifti_table(path: Path) -> LabelTable | None:
    """The first table with names among the header extensions of a NIfTI file."""
    try:
        extensions = getattr(open_exactly(path).header, "extensions", ())
    except UNREADABLE:
        return None
    contents = [_content(extension) for extension in extensions if extension.get_code() in CODES]
    found = [table for content in contents if (table := from_xml(content, path)) is not None]
    return next((table for table in found if table.names), found[0] if found else None)


def _content(extension: Nifti1Extension) -> bytes:
    """The bytes of a header extension; nibabel before 5.3 has no attribute for them."""
    content = getattr(extension, "content", None)
    content = extension.get_content() if content is None else content
    return content if isinstance(content, bytes) else str(content).encode("utf-8", "replace")


def _text_table(path: Path) -> LabelTable | None:
    """The table in the text header of an NRRD or MetaImage file: Slicer's segment fields."""
    fields = dict(TEXT_FIELD.findall(text_header(path)))
    names: dict[int, str] = {}
    for number in range(len(fields)):
        if f"Segment{number}_Name" not in fields and f"Segment{number}_ID" not in fields:
            break
        value = fields.get(f"Segment{number}_LabelValue", "").strip()
        name = fields.get(f"Segment{number}_Name", "").strip() or f"Segment_{number + 1}"
        names[int(value) if value.isdigit() else number + 1] = name
    software = fields.get("Software", "").strip()
    return LabelTable(names, software=software) if names or software else None
