"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_core.errors import PassingError
from iris_core.volume_io.suffix import suffix_of


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a hidden path beside `path` to write to, and moves it into place when the block ends well.

    The hidden name ends like `path`, with a known suffix in lower case: some writers put "x.Nii" into
    "x.nii". Missing parent folders are made. When the block raises, the hidden file is removed and `path`
    stays as it was.

    Raises:
        PassingError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    suffix = suffix_of(path)
    name = path.name[: -len(suffix)] + suffix if suffix else path.name
    hidden = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(hidden, "xb"):
            pass
        yield hidden
        with open(hidden, "rb+") as written:
            os.fsync(written.fileno())
        hidden.replace(path)
    except OSError as error:
        raise PassingError(
            "cannot be written",
            where=path,
            found=error.strerror or str(error),
            remedy="choose an output folder that exists or can be made, is writable and has space left",
        ) from error
    finally:
        # a no-op after the move
        _discard(hidden)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # e.g. the parent is a file: then there is nothing to remove
        return
