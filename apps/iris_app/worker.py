"""The worker, a process that computes what a person waits for.

    python -m apps.iris_app.worker STATE

It reads one message a line from stdin: a request, {"request": n, "study": ..., "options": {...}}, or {"stop":
n}, which stops that request between two windows. For each request it writes lines {"request": n, "windows":
[done, in all]} while it computes, and at the end one of {"request": n, "key": ...} when the result is kept,
{..., "problem": a sentence}, {..., "fault": ...} and {..., "stopped": true}. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from iris_core.errors import IrisError, PassingError

if TYPE_CHECKING:
    from apps.iris_app.computing.annotator import Annotator

log = logging.getLogger(__name__)

CALM = 5  # how much it gives way to the server, which answers everybody else meanwhile
MOST_RESTLESS = 3  # references that are left out because they change all the time
TRIES = 3  # of a study whose files change while it is computed
PAUSE = 1.5  # seconds between two tries, in which the server looks at the datastore again


class Stopped(Exception):
    """Nobody waits for this request any more."""


class Inbox:
    """Reads messages in a thread, so that a stop is seen while a request is being computed.

    Args:
        lines: one message each.
    """

    def __init__(self, lines: TextIO) -> None:
        self._requests: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
        self._stopped: set[int] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._read, args=(lines,), name="inbox", daemon=True).start()

    def requests(self) -> Iterator[dict]:
        """Requests one after the other, until the sender is gone."""
        while (request := self._requests.get()) is not None:
            yield request

    def stopped(self, request: int) -> bool:
        """Whether a request need not be answered: it was stopped, or the sender is gone."""
        return request in self._stopped or self._ended.is_set()

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            message = json.loads(line)
            if "stop" in message:
                self._stopped.add(message["stop"])
            else:
                self._requests.put(message)
        self._ended.set()
        self._requests.put(None)


def main() -> int:
    """Answers until stdin ends."""
    parser = argparse.ArgumentParser(description="Segment studies on request.")
    parser.add_argument("state", type=Path, help="the app's state folder")
    parser.add_argument("--checkpoint", type=Path, help="other weights than the shipped ones")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    inbox = Inbox(sys.stdin)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer

    from apps.iris_app.computing.annotator import Annotator
    from apps.iris_app.lib.state import State
    from iris_core.allocator import reuse_memory

    def write(answer: dict) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody is left to read it; the inbox ends the loop
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    reuse_memory()
    if hasattr(os, "nice"):
        os.nice(CALM)
    annotators = {"auto": Annotator(State(arguments.state), arguments.checkpoint)}
    for request in inbox.requests():
        device, number = request["options"]["device"], request["request"]
        annotator = annotators.setdefault(
            device, Annotator(annotators["auto"].state, arguments.checkpoint, device)
        )

        def progress(done: int, total: int, number: int = number) -> None:
            if inbox.stopped(number):
                raise Stopped
            write({"request": number, "windows": [done, total]})

        write({"request": number} | _answer(annotator, request, progress))
    return 0


def _answer(annotator: Annotator, request: dict, progress: Callable[[int, int], None]) -> dict:
    from filelock import FileLock

    from apps.iris_app.catalogue.catalogue import Catalogue, Outdated
    from apps.iris_app.lib.options import Options

    given: dict[str, Any] = request["options"]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    options = Options(**given)
    try:
        progress(0, 0)
        for left in reversed(range(TRIES + MOST_RESTLESS)):
            try:
                with FileLock(annotator.state.interactive_lock):  # the pre-label job waits meanwhile
                    catalogue = Catalogue(annotator.state)
                    return {"key": annotator.annotate(catalogue, request["study"], options, progress).key}
            except Outdated as error:
                restless = left <= MOST_RESTLESS
                if not left or (restless and error.where not in catalogue.references):
                    raise
                if restless:
                    log.warning("%s is no reference of %s: %s", error.where, request["study"], error)
                    options = replace(options, banned=(*options.banned, str(error.where)))
                time.sleep(PAUSE)
                progress(0, 0)
    except Stopped:
        return {"stopped": True}
    except PassingError as error:
        return {"problem": str(error), "passing": True}
    except IrisError as error:
        return {"problem": str(error)}
    except Exception as error:
        log.exception("a fault of the program")
        return {"fault": f"{type(error).__name__}: {error}"}
    raise AssertionError("every try returns or raises")


if __name__ == "__main__":
    sys.exit(main())
