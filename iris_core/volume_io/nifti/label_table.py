"""Label table: names and colours of label values, as an XML text in a NIfTI header extension.

The form is Connectome Workbench's ("CaretExtension"). TotalSegmentator writes and reads it in an extension of
code 0, and so do we; Workbench itself uses code 30, which is read as well. The table also says which software
wrote the file, so that a result is known as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from iris_core import __version__
from iris_core.remarks import remark
from iris_core.volume.volume import Color, LabelVolume

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Extension

SOFTWARE = "iris-incontext"
EXTENSION_CODE = 0  # "unknown or private"; what TotalSegmentator uses
CODES = (EXTENSION_CODE, 30)
BLOCK, LEAD = 16, 8  # an extension fills blocks of 16 bytes, of which the first 8 hold its size and code
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class LabelTable:
    """What a file says about its label values.

    Attributes:
        names: value -> name, without the background.
        colors: value -> (R, G, B), 0-255.
        software: name and version of the program that wrote the file; "" where it is not known.
    """

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    software: str = ""

    @classmethod
    def of(cls, label: LabelVolume) -> LabelTable:
        """The table that goes with a label that Iris writes."""
        names = {value: " ".join(NO_XML.sub("", name).split()) for value, name in label.names.items()}
        names = {value: name for value, name in sorted(names.items()) if name}
        return cls(names, {value: label.color_of(value) for value in names}, software())

    @property
    def own(self) -> bool:
        """Whether Iris wrote the file."""
        return self.software.split(" ")[0] == SOFTWARE

    def as_extension(self) -> Nifti1Extension:
        """The table as a NIfTI header extension."""
        from nibabel.nifti1 import Nifti1Extension

        return Nifti1Extension(EXTENSION_CODE, to_xml(self))


def software() -> str:
    """Name and version of this program, as results carry it."""
    return f"{SOFTWARE} {__version__}"


def to_xml(table: LabelTable) -> bytes:
    """The content of the header extension; its length fills whole blocks, so that no zero bytes follow."""
    root = ElementTree.Element("CaretExtension")
    volume = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    labels = ElementTree.SubElement(volume, "LabelTable")
    for value, name in table.names.items():
        shares = [f"{part / 255:.6g}" for part in table.colors.get(value, (255, 255, 255))]
        shade = dict(zip(("Key", "Red", "Green", "Blue", "Alpha"), [str(value), *shares, "1"], strict=True))
        ElementTree.SubElement(labels, "Label", shade).text = name
    entry = ElementTree.SubElement(ElementTree.SubElement(volume, "MetaData"), "MD")
    ElementTree.SubElement(entry, "Name").text = "Software"
    ElementTree.SubElement(entry, "Value").text = table.software
    ElementTree.SubElement(volume, "VolumeType").text = "Label"
    content = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content + b" " * (-(len(content) + LEAD) % BLOCK)


def from_xml(content: bytes, where: Path | None = None) -> LabelTable | None:
    """Reads the content of a header extension.

    Args:
        content: bytes of the extension.
        where: the file that a warning names.

    Returns:
        The table of the first volume; None where the content is something else. A table that is damaged is
        warned of and taken for none.
    """
    text = content.strip(b"\x00 \t\r\n")
    if b"<CaretExtension" not in text[:4096]:
        return None
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        remark(where, f"the names of its label values cannot be read ({error})")
        return None
    volume = root.find("VolumeInformation")
    if volume is None:
        return None
    names: dict[int, str] = {}
    colors: dict[int, Color] = {}
    for entry in volume.iterfind("LabelTable/Label"):
        key, name = entry.get("Key", "").strip(), " ".join((entry.text or "").split())
        if not re.fullmatch(r"\d{1,9}", key) or int(key) == 0 or not name:
            continue
        names.setdefault(int(key), name)
        if (color := _color(entry)) is not None:
            colors.setdefault(int(key), color)
    return LabelTable(names, colors, _software(volume))


def _color(entry: ElementTree.Element) -> Color | None:
    try:
        shares = [float(entry.get(part, "")) for part in ("Red", "Green", "Blue")]
        red, green, blue = (min(255, max(0, round(share * 255))) for share in shares)
    except (ValueError, OverflowError):
        return None
    return red, green, blue


def _software(volume: ElementTree.Element) -> str:
    for entry in volume.iterfind("MetaData/MD"):
        if (entry.findtext("Name") or "").strip() == "Software":
            return (entry.findtext("Value") or "").strip()
    return ""
