"""The worker, a process that computes what a person waits for: python -m apps.iris_app.worker STATE

It reads one request a line from stdin, {"study": ..., "options": {...}}, and answers each with one line on
stdout: {"key": ...} when the result is kept, or {"problem": a sentence}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from iris_core.errors import IrisError

log = logging.getLogger(__name__)


def main() -> int:
    """Answers until stdin ends."""
    parser = argparse.ArgumentParser(description="Segment studies on request.")
    parser.add_argument("state", type=Path, help="the app's state folder")
    parser.add_argument("--checkpoint", type=Path, help="other weights than the shipped ones")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer

    from apps.iris_app.lib.annotator import Annotator
    from apps.iris_app.lib.state import State
    from iris_core.memory_reuse import reuse_memory

    reuse_memory()
    annotators = {"auto": Annotator(State(arguments.state), arguments.checkpoint)}
    with contextlib.suppress(IrisError):  # told to whoever asks first
        annotators["auto"].segmenter  # noqa: B018 - loaded before anybody waits
    for line in sys.stdin:
        request = json.loads(line)
        device = request["options"]["device"]
        annotator = annotators.setdefault(
            device, Annotator(annotators["auto"].state, arguments.checkpoint, device)
        )
        answers.write(json.dumps(_answer(annotator, request)) + "\n")
        answers.flush()
    return 0


def _answer(annotator, request: dict) -> dict:
    from filelock import FileLock

    from apps.iris_app.lib.catalogue import Catalogue
    from apps.iris_app.lib.options import Options

    options = Options(**{k: tuple(v) if isinstance(v, list) else v for k, v in request["options"].items()})
    try:
        with FileLock(annotator.state.interactive_lock):  # the pre-label job waits meanwhile
            result = annotator.annotate(Catalogue(annotator.state), request["study"], options)
    except IrisError as error:
        return {"problem": str(error)}
    except Exception as error:
        log.exception("a fault of the program")
        return {"fault": f"{type(error).__name__}: {error}"}
    return {"key": result.key}


if __name__ == "__main__":
    sys.exit(main())
