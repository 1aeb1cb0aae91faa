"""Keeps freed memory for the next tensor instead of giving it back to the system.

A network on a CPU allocates and frees the same large maps again and again. glibc maps and unmaps each of them
anew, and every first touch of a page costs a fault: about a sixth of the time of a query.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h
NEVER = 2**31 - 1


def give_memory_back() -> bool:
    """Asks the C library of this process to give the system what is free; for programs, not for libraries.

    Returns:
        Whether it did; False where the C library is another than glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False


def reuse_memory() -> bool:
    """Asks the C library of this process to keep what is freed; for programs, not for libraries.

    Returns:
        Whether it will; False where the C library is another than glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
