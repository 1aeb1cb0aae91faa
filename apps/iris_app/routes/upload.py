"""PUT /datastore/image: a viewer adds an image to a studies folder. None that is there is ever replaced."""

from __future__ import annotations

import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path, PureWindowsPath

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.door.identity import user_of
from apps.iris_app.door.ids import upload_fault
from apps.iris_app.door.image_header import size_of
from apps.iris_app.routes.request import ANNOTATOR, PREFIX, json_object
from apps.iris_app.waiting.turns import IMAGES
from iris_core.errors import InputError
from iris_core.volume_io import atomic_path, read_image
from iris_core.volume_io.suffix import suffix_of

MOST_VOXELS = 1 << 29  # 512 x 512 x 2048
MOST_BYTES = 1 << 31  # unpacked; a small file may claim any number
IMAGE = File(...)

router = APIRouter()


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
            name of a file, or the file is no 3D image that can be read; 503, too many images wait.
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
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / f"image{suffix}"
        with open(copy, "wb") as part:
            shutil.copyfileobj(file.file, part)
        _require_image(copy)
        _store(datastore, study, suffix, copy)
    info = {"user": sender, "client_id": noted.get("client_id")}
    datastore.update_image_info(study, {key: str(value)[:200] for key, value in info.items() if value})
    return {"image": study}


def _require_image(path: Path) -> None:
    try:
        voxels, size = size_of(path)
        if voxels > MOST_VOXELS:
            raise InputError("is too large", expected=f"at most {MOST_VOXELS} voxels", found=voxels)
        if size > MOST_BYTES:
            raise InputError("is too large", expected=f"at most {MOST_BYTES} bytes unpacked", found=size)
        read_image(path)
    except InputError as error:
        told = InputError(error.what, expected=error.expected, found=error.found)
        raise HTTPException(422, f"The image is not stored: it {told}") from error


def _store(datastore: LocalDatastore, study: str, suffix: str, file: Path) -> None:
    folder = Path(datastore._datastore.image_path()).resolve()
    taken = {name.casefold() for name in datastore.list_images()}
    if study.casefold() in taken or any(folder.glob(f"{study}.*")):
        raise HTTPException(409, f"The datastore has a study {study} already; it is not replaced")
    with atomic_path(folder / f"{study}{suffix}") as hidden:
        shutil.copyfile(file, hidden)
    datastore.refresh()
