"""Keeps freed memory for the next tensor instead of giving it back to the system.

A network on a CPU allocates and frees the same large maps again and again. glibc maps and unmaps each of them
anew, and every first touch of a page costs a fault: about a sixth of the time of a query.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h
NEVER = 2**31 - 1


def give_memory_back() -> None:
    """Gives the system what this process has freed; for programs, not for libraries.

    Nothing happens where the C library is another than glibc.
    """
    _of_glibc("malloc_trim")(0)


def reuse_memory() -> bool:
    """Asks the C library of this process to keep what is freed; for programs, not for libraries.

    Returns:
        Whether it will; False where the C library is another than glibc.
    """
    mallopt = _of_glibc("mallopt")
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


def _of_glibc(name: str) -> Callable[..., int]:
    """A function of the C library; where it lacks that, one that gives 0."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # Windows refuses a library without a name by TypeError
        return lambda *_: 0
