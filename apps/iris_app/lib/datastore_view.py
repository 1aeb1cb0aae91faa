"""What a folder datastore of the host says, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from apps.iris_app.lib.state import stamp
from apps.iris_app.lib.study import FinalLabel, Study, names_from_info
from iris_core.volume_io.suffix import suffix_of

FINAL = DefaultLabelTag.FINAL.value
ORIGINAL = DefaultLabelTag.ORIGINAL.value


def studies_of(datastore: Datastore) -> Iterator[Study]:
    """The 3D images of a datastore with their final labels, as they are when they are asked for."""
    if hasattr(datastore, "studies"):  # our own DICOM datastore
        yield from datastore.studies()
        return
    for name in datastore.list_images():
        image = Path(datastore.get_image_uri(name))
        if suffix_of(image) and image.is_file():
            yield Study(name, image, stamp(image), _final(datastore, name))


def _final(datastore: Datastore, name: str) -> FinalLabel | None:
    uri = datastore.get_label_uri(name, FINAL)
    if not uri or not Path(uri).is_file():
        return None
    info = datastore.get_label_info(name, FINAL) or {}
    return FinalLabel(Path(uri), stamp(Path(uri)), names_from_info(info.get("label_info")))
