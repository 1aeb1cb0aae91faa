"""What a piece of work costs: seconds, and the peak memory of the process while it ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
MB = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """What a piece of work cost.

    Attributes:
        seconds: wall time; None where it is not known.
        peak_mb: most memory that the whole process held meanwhile, MB; None where the system does not say.
    """

    seconds: float | None
    peak_mb: float | None = None


def measured(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Runs some work; gives its result and its cost.

    The peak is the process's own since the work began, on Linux. Elsewhere it is the highest since the
    process began, so that what comes later never shows less than what came before.
    """
    reset = _reset()
    started = time.perf_counter()
    result = work()
    return result, Cost(time.perf_counter() - started, _peak(reset))


def _reset() -> bool:
    """Whether the kernel has forgotten the highest memory so far."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def _peak(own: bool) -> float | None:
    if own:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / MB, 1)
    try:
        import resource
        import sys
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB, 1)
