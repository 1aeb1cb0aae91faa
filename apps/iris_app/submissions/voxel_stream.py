"""Reading the voxels of an upload as a stream that is no longer than its header promised.

A small file may unpack to gigabytes. So blocks are looked at one by one and forgotten, and the reading ends
where the promise does.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from apps.iris_app.submissions.label_header import LabelHeader
from iris_core.errors import InputError
from iris_core.volume.label_values import whole_numbers

BLOCK = 1 << 20  # bytes
PACKED_MORE = 1 << 20  # bytes that a file may have beyond its unpacked voxels
SLACK = 4096  # bytes that some writers leave behind the voxels
MOST_VALUES = 500  # different values; an image has more


@dataclass
class Values:
    """The different values of a label, found block by block."""

    low: np.ndarray = field(default_factory=lambda: np.zeros(1 << 16, dtype=bool))
    high: set[int] = field(default_factory=set)
    count: int = 0  # of the different values

    def add(self, block: np.ndarray) -> None:
        """Takes a block of whole numbers from 0 on."""
        if block.dtype == np.int32:
            self.high.update(np.unique(block[block >= self.low.size]).tolist())
            block = block[block < self.low.size]
        if not self.low[block].all():
            self.low[block] = True
        self.count = int(np.count_nonzero(self.low[1:])) + len(self.high)

    @property
    def found(self) -> list[int]:
        """Ascending, without 0."""
        return [int(value) for value in np.flatnonzero(self.low) if value] + sorted(self.high)


def values_of(header: LabelHeader) -> list[int]:
    """The values that occur in a label, ascending and without 0; empty where nothing is drawn.

    Raises:
        InputError: more or fewer voxels than the header says, a damaged stream, numbers that are not whole
            or below 0, or so many different ones that this is an image.
    """
    values, rest = Values(), b""
    for block in _promised(header):
        rest = _look(header, rest + block, values)
    return values.found


def require_length(header: LabelHeader) -> None:
    """Reads a file to the end of its voxels and keeps nothing of them.

    Raises:
        InputError: more or fewer voxels than the header says, or a damaged stream.
    """
    for _ in _promised(header):
        pass


def _promised(header: LabelHeader) -> Iterator[bytes]:
    """The voxels that the header promises, in blocks; the reading ends where there are more."""
    if header.path.stat().st_size > header.unpacked + header.offset + PACKED_MORE:
        raise InputError("has more bytes than its header says", where=header.path)
    left, beyond = header.unpacked, 0
    try:
        for block in _blocks(header):
            taken = block[:left]
            left, beyond = left - len(taken), beyond + len(block) - len(taken)
            if beyond > SLACK:
                raise _wrong_length(header, "more")
            yield taken
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the file's
        raise InputError("is damaged or cut short", where=header.path, found=str(error)) from error
    if left:
        raise _wrong_length(header, "fewer")


def _look(header: LabelHeader, data: bytes, values: Values) -> bytes:
    """Looks at all whole voxels of a piece of data; gives the bytes of the voxel that it cuts."""
    size = len(data) - len(data) % header.dtype.itemsize
    block = np.frombuffer(data[:size], header.dtype)
    slope, intercept = header.scale
    if (slope, intercept) != (1.0, 0.0):
        block = block * slope + intercept
    values.add(whole_numbers(block, header.path))
    if values.count > MOST_VALUES:
        raise InputError(
            "has too many different values for a label; is this an image?", where=header.path,
            expected=f"at most {MOST_VALUES}",
        )  # fmt: skip
    return data[size:]


def _blocks(header: LabelHeader) -> Iterator[bytes]:
    """The unpacked voxels in blocks of at most a megabyte."""
    if header.packing == "file":
        with gzip.open(header.path) as file:
            file.read(header.offset)  # at most a megabyte: the header's check saw to it
            while block := file.read(BLOCK):
                yield block
        return
    with open(header.path, "rb") as file:
        file.seek(header.offset)
        if header.packing == "gzip":
            with gzip.GzipFile(fileobj=file) as unpacked:
                while block := unpacked.read(BLOCK):
                    yield block
        elif header.packing == "zlib":
            yield from _inflated(file)
        else:
            while block := file.read(BLOCK):
                yield block


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        data = unpacker.unconsumed_tail or file.read(BLOCK)
        if not data:
            raise EOFError("the packed voxels end too early")
        if block := unpacker.decompress(data, BLOCK):
            yield block


def _wrong_length(header: LabelHeader, word: str) -> InputError:
    return InputError(
        f"holds {word} voxels than its header says", where=header.path,
        expected=f"{header.unpacked} bytes for shape {'x'.join(map(str, header.shape))}",
    )  # fmt: skip
