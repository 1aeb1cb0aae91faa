"""`python -m benchmarks.golden.passed`: the modules of iris_core that a query passes, by a traced run.

A phantom with close-ups is segmented, and every function that runs meanwhile is noted by its file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import iris_core
from benchmarks.golden.cases import as_reference, phantom
from iris_core.checkpoint import load_model
from iris_core.segmenter import Segmenter
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from sample_data import head

ROOT = Path(iris_core.__file__).parent


def modules_passed(run: Callable[[], object]) -> list[str]:
    """Modules of iris_core, as paths below it, in which a function runs.

    Args:
        run: what is traced, in this thread.
    """
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    inside = {Path(name) for name in files if Path(name).is_relative_to(ROOT)}
    return sorted(path.relative_to(ROOT).as_posix() for path in inside)


def main() -> None:
    """Prints the modules, those of inference/ first."""
    loaded = load_model()
    segmenter = Segmenter(loaded.model, **loaded.settings)
    reference, query = phantom(head, 0), phantom(head, 1)[0]
    task = encode_task(segmenter, [as_reference(reference)])
    passed = modules_passed(lambda: apply_task(segmenter, task, query))
    own = [name for name in passed if name.startswith("inference/")]
    print(f"{len(own)} modules of inference/, {len(task.close_ups)} close-ups")
    for name in [*own, *(other for other in passed if other not in own)]:
        print(f"  {name}")


if __name__ == "__main__":
    main()
