"""The pre-label job, a process beside the server: `python -m apps.iris_app.prelabel_job STATE`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from iris_core.errors import IrisError

CALM = 5  # how much the job gives way to everything else on the machine


def main() -> int:
    """Works until the process that started it is gone, or until nothing was left to do for a while."""
    parser = argparse.ArgumentParser(description="Keep the pre-labels of a datastore fresh.")
    parser.add_argument("state", type=Path, help="the app's state folder")
    parser.add_argument("--checkpoint", type=Path, help="other weights than the shipped ones")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--until-done", action="store_true", help="end when nothing is left to do")
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="end when this process, the starter, is gone"
    )
    arguments = parser.parse_args()
    parent = arguments.parent or os.getppid()  # read before the imports, in whose seconds a starter may end
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from apps.iris_app.computing.annotator import Annotator
    from apps.iris_app.lib.state import State
    from apps.iris_app.prelabels.prelabelling import REST, Prelabelling
    from iris_core.allocator import reuse_memory

    reuse_memory()
    if hasattr(os, "nice"):
        os.nice(CALM)
    annotator = Annotator(State(arguments.state), arguments.checkpoint, arguments.device)
    try:
        job = Prelabelling(annotator, lambda: os.getppid() == parent, annotator.threads)
        job.run(until_done=arguments.until_done, rest=REST)
    except IrisError as error:
        logging.getLogger(__name__).error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
