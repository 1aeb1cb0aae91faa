"""Does a file hold what its header promises? Asked before memory is taken for it, and after unpacking."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib

MOST_PACKED = 1032  # times that gzip can shrink bytes, at most
PART = 1 << 20  # bytes that are unpacked at a time


def refuse_impossible_size(image: nib.Nifti1Pair) -> None:
    """Refuses a NIfTI header that states no voxels, more than its file can hold, or voxels inside the header.

    Raises:
        ValueError: as the first line says; the message goes on after "found".
    """
    header, shape = image.header, image.shape
    if not shape or min(shape) < 1:
        raise ValueError(f"no voxels: sizes {shape}")
    start, own = int(getattr(image.dataobj, "offset", MOST_PACKED)), int(header["sizeof_hdr"])
    if header["magic"].item()[:2] == b"n+" and start < own:
        raise ValueError(f"voxels from byte {start} on, inside the header of {own} bytes")
    needed = int(header.get_data_dtype().itemsize)
    for length in shape:
        needed *= int(length)
    file = Path(str(image.file_map["image"].filename))
    if not file.is_file():
        return  # whoever reads it will say so
    size = file.stat().st_size
    if needed > size * (MOST_PACKED if _is_packed(file) else 1):
        raise ValueError(f"sizes {shape}, which are {needed} bytes, in a file of {size} bytes")


def refuse_damaged_packing(path: Path) -> None:
    """Refuses a gzip file whose checksum says that its bytes have changed; readers stop short of it.

    Whatever follows after its end does not matter.

    Raises:
        ValueError, EOFError, zlib.error: it is damaged or cut short.
    """
    if not _is_packed(path):
        return
    try:
        with gzip.open(path) as file:
            while file.read(PART):
                pass
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise ValueError("bytes that have changed since they were packed (gzip's checksum)") from error


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith((".gz", ".mgz"))
