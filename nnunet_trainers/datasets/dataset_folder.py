"""Folders of datasets: where nnU-Net keeps them, and making a new one whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_core.errors import InputError


def nnunet_folder(variable: str) -> Path:
    """The folder that one of nnU-Net's environment variables names.

    Raises:
        InputError: it is not set, or nnUNet_raw names no folder.
    """
    value = os.environ.get(variable)
    if not value:
        raise InputError(
            "the environment variable is not set",
            where=variable,
            expected="a folder, as for every command of nnU-Net",
            remedy=f"export {variable}=/a/folder",
        )
    if variable == "nnUNet_raw" and not Path(value).is_dir():
        raise InputError("no such folder", where=value, remedy=f"set {variable} to the folder of datasets")
    return Path(value)


def in_nnunet_raw(name: str) -> Path:
    """A bare name in nnUNet_raw; a path as it is."""
    path = Path(name)
    return nnunet_folder("nnUNet_raw") / path if path.parent == Path() else path


@contextmanager
def new_dataset_folder(target: Path) -> Iterator[Path]:
    """Gives a hidden folder beside `target` to fill, and moves it into place when the block ends well.

    Args:
        target: .../DatasetNNN_Name, which must not be there yet.

    Raises:
        InputError: another kind of name, a number that another dataset has, or a place that cannot be written
            to.
    """
    if not re.fullmatch(r"Dataset\d{3}_[\w-]+", target.name):
        raise InputError(
            "nnU-Net could not find a dataset of this name",
            where=target,
            expected="DatasetNNN_Name, for instance Dataset950_Union",
        )
    taken = [path for path in target.parent.glob(f"{target.name[:10]}_*") if path.is_dir()]
    if taken:
        raise InputError(
            "the dataset's number is taken, and nothing is overwritten",
            where=target,
            found=taken[0].name,
            remedy="choose another number, or remove that folder yourself",
        )
    hidden = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{target.name}")
    try:
        hidden.mkdir(parents=True)
        yield hidden
        hidden.rename(target)
    except OSError as error:
        raise InputError(
            "cannot be written",
            where=target,
            found=f"{error.filename or ''} {error.strerror or error}".strip(),
            remedy="choose a folder that is writable and has space left",
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # a no-op after the move


def write_json(path: Path, content: object) -> None:
    """Writes a description as nnU-Net's own are: indented, in plain characters."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
