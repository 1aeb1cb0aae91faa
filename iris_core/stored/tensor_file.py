"""Safetensors files with facts in their header: the one place that opens and writes them; never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.errors import IrisError
from iris_core.volume_io import atomic_path

if TYPE_CHECKING:
    from torch import Tensor


def read_tensors(
    path: Path, kind: type[IrisError], what: str = "", expected: str | None = None
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of a file.

    Args:
        path: of the file.
        kind: of the error.
        what: it should be, such as "a task card".
        expected: of the file, for the error.

    Raises:
        IrisError: of that kind, where it cannot be read.
    """
    return _read(path, kind, what, expected, tensors=True)


def read_header(path: Path, kind: type[IrisError], what: str = "") -> dict[str, str]:
    """The header alone. Arguments and errors as in `read_tensors`."""
    return _read(path, kind, what, None, tensors=False)[0]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Writes a file whole or not at all; missing folders are made.

    Raises:
        PassingError: the folder cannot be written to, or the disk is full.
    """
    from safetensors.torch import save

    data = save(dict(tensors), metadata=dict(header))
    with atomic_path(path) as place:
        place.write_bytes(data)


def _read(
    path: Path, kind: type[IrisError], what: str, expected: str | None, *, tensors: bool
) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        trouble = f"cannot be read as {what}" if what else "cannot be read"
        raise kind(trouble, where=path, expected=expected, found=error) from error
