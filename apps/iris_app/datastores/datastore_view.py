"""What a folder datastore of the host says, as plain data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from apps.iris_app.catalogue.study import FinalLabel, Study, names_from_info
from apps.iris_app.lib.state import stamp
from iris_core.volume_io.label_header import why_no_image
from iris_core.volume_io.suffix import suffix_of

log = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value
ORIGINAL = DefaultLabelTag.ORIGINAL.value


def studies_of(datastore: Datastore) -> Iterator[Study]:
    """The 3D images of a datastore with their final labels, as they are when they are asked for.

    Hidden files (macOS leaves ._NAME beside NAME) and segmentations among the images are no studies.
    """
    if hasattr(datastore, "studies"):  # our own DICOM datastore
        yield from datastore.studies()
        return
    for name in datastore.list_images():
        image = Path(datastore.get_image_uri(name))
        if _is_study(image):
            yield Study(name, image, stamp(image), _final(datastore, name))


def study_here(datastore: Datastore, name: str) -> Study | None:
    """A study of a datastore without its label; None where it has none of this name.

    An archive is asked for a series that is not here yet.

    Raises:
        InputError: the series makes no image.
    """
    if hasattr(datastore, "holds"):  # our own DICOM datastore
        datastore.fetch(name)
        if not datastore.holds(name):
            return None
    elif name not in datastore.list_images():
        return None
    image = Path(datastore.get_image_uri(name))
    return Study(name, image, stamp(image)) if _is_study(image) else None


def _is_study(image: Path) -> bool:
    shown = bool(suffix_of(image)) and image.is_file() and not image.name.startswith(".")
    return shown and _why_no_image(image, stamp(image)) is None


@lru_cache(maxsize=65536)
def _why_no_image(image: Path, _stamp: str) -> str | None:
    """Why a file of the datastore is no image; looked at again only when its stamp changes."""
    why = why_no_image(image)
    if why:
        log.warning("%s %s; it is left out", image, why)
    return why


def _final(datastore: Datastore, name: str) -> FinalLabel | None:
    uri = datastore.get_label_uri(name, FINAL)
    if not uri or not Path(uri).is_file():
        return None
    info = datastore.get_label_info(name, FINAL) or {}
    submitted = info.get("submitted")
    empty = isinstance(submitted, dict) and submitted.get("empty") is True
    return FinalLabel(Path(uri), stamp(Path(uri)), names_from_info(info.get("label_info")), empty)
