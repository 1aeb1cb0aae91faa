"""A DICOM series of an archive as an image file, made by the reader of the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume_io import read_image, write_image


class SeriesImages:
    """Makes image files of series, and remembers which series make none.

    A series is known by its UID and how many images the archive has of it; with another number it is new.
    """

    def __init__(self) -> None:
        self._refused: dict[str, tuple[int | None, InputError]] = {}

    @contextmanager
    def made(self, series: str, count: int | None, folder: Path) -> Iterator[Path]:
        """The image of a series as a NIfTI file that is there while the block runs.

        Args:
            series: its UID.
            count: images that the archive has of it; None where it does not say.
            folder: the series' files.

        Raises:
            InputError: the series makes no image.
        """
        try:
            volume = read_image(folder)
        except InputError as error:
            self._refused[series] = (count, error)
            raise
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{series}.nii.gz"
            write_image(volume, file)
            yield file

    def refusal(self, series: str, count: int | None) -> InputError | None:
        """Why a series makes no image; None where nobody has found that out."""
        then, error = self._refused.get(series, (None, None))
        return error if then == count else None
