"""PUT /datastore/image: a viewer adds an image to a studies folder. None that is there is ever replaced."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from fnmatch import fnmatch
from pathlib import Path, PureWindowsPath

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.door.ids import upload_fault
from apps.iris_app.door.users.identity import user_of
from apps.iris_app.routes.answers import label_errors
from apps.iris_app.routes.request import ANNOTATOR, PREFIX, FewParts, json_object
from apps.iris_app.submissions.image_check import check_image
from apps.iris_app.waiting.turns import IMAGES
from iris_core.volume_io import atomic_path
from iris_core.volume_io.suffix import suffix_of

IMAGE = File(...)

router = APIRouter(route_class=FewParts)


@router.put(f"{PREFIX}/datastore/")
@router.put(f"{PREFIX}/datastore/image")
async def put_image(
    request: Request,
    image: str | None = None,
    params: str = Form("{}"),
    file: UploadFile = IMAGE,
    user: User = ANNOTATOR,
) -> dict:
    """Stores an image under an id of its own.

    Raises:
        HTTPException: 405, the studies lie in an archive; 409, the id is taken; 422, the id cannot be the
            name of a file, or the file is no 3D image that can be read; 503 and 507, it cannot be stored now.
    """
    return await IMAGES.run(_put, user_of(request.scope), image, json_object(params), file)


def _put(sender: str, image: str | None, noted: dict, file: UploadFile) -> dict:
    datastore = app_instance().datastore()
    if app_instance().service.datastore_is_archive:
        raise HTTPException(405, "Images come into an archive as DICOM, through the archive or through OHIF")
    name = PureWindowsPath(file.filename or "").name  # takes both kinds of slashes for what they are
    suffix = suffix_of(Path(name))
    if not suffix or not any(fnmatch(f"x{suffix}", p) for p in settings.MONAI_LABEL_DATASTORE_FILE_EXT):
        raise HTTPException(422, "An image is a file of the kind .nii.gz, .nii or .nrrd")
    study = image or name[: -len(suffix)]
    fault = upload_fault(study)
    if fault:
        raise HTTPException(422, f"The id is refused: {fault}")
    with label_errors("The image is not stored", name), tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / f"image{suffix}"
        with open(copy, "wb") as part:
            shutil.copyfileobj(file.file, part)
        check_image(copy)
        _store(datastore, study, suffix, copy)
    info = {"user": sender, "client_id": noted.get("client_id")}
    datastore.update_image_info(study, {key: str(value)[:200] for key, value in info.items() if value})
    return {"image": study}


def _store(datastore: LocalDatastore, study: str, suffix: str, file: Path) -> None:
    folder = Path(datastore._datastore.image_path()).resolve()
    taken = {_alike(name) for name in datastore.list_images()}
    if _alike(study) in taken or any(folder.glob(f"{study}.*")):
        raise HTTPException(409, f"The datastore has a study {study} already; it is not replaced")
    with atomic_path(folder / f"{study}{suffix}") as hidden:
        shutil.copyfile(file, hidden)
    datastore.refresh()


def _alike(study: str) -> str:
    """What ids have in common that some file system takes for one: case, and how letters are composed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", study).casefold())
