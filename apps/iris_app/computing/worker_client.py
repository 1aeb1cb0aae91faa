"""WorkerClient: hands requests to the worker process, one at a time, and starts it again when it dies."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State
from apps.iris_app.piped_process import end, pipes_of
from iris_core.errors import InputError, PassingError

log = logging.getLogger(__name__)

Windows = Callable[[int, int], None]  # windows done, windows in all


class WorkerLost(Exception):
    """The worker ended before it had answered."""


class WorkerStopped(Exception):
    """The request was stopped, since nobody waited for it any more."""


class WorkerClient:
    """A handle on the worker process, which is started when it is first needed.

    Args:
        state: where the worker finds the catalogue and keeps results.
        checkpoint: weights; the shipped ones when None.
    """

    def __init__(self, state: State, checkpoint: Path | None = None) -> None:
        self._command = [sys.executable, "-m", "apps.iris_app.worker", str(state.root)]
        self._command += ["--checkpoint", str(checkpoint)] if checkpoint else []
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()  # held while a request is computed
        self._write = threading.Lock()  # held for moments
        self._number = 0  # of the last request
        self._current: int | None = None  # the request that is being computed

    def annotate(
        self,
        study: str,
        options: Options,
        progress: Windows | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> str:
        """The key of the finished result.

        Args:
            study: its id.
            options: of the request.
            progress: called with (windows done, windows in all).
            wanted: says whether anybody waits; asked before the worker gets the request.

        Raises:
            InputError: the request cannot be answered; the message says why.
            PassingError: it cannot be answered now; the disk is full, say.
            WorkerStopped: `stop` was called meanwhile, or nobody waits.
            WorkerLost: the worker ended on the way, twice.
        """
        request = {"study": study, "options": asdict(options)}
        with self._turn:
            try:
                answer = self._exchange(request, progress, wanted)
                answer = answer or self._exchange(request, progress, wanted)
            finally:
                self._current = None
        if "stopped" in answer:
            raise WorkerStopped
        if "problem" in answer:
            raise (PassingError if answer.get("passing") else InputError)(answer["problem"])
        if "key" not in answer:
            raise WorkerLost(answer.get("fault", "the worker ended before it had answered"))
        return answer["key"]

    def stop(self) -> None:
        """Stops the request that is being computed, between two windows; may be called from any thread."""
        with self._write:
            if self._current is not None:
                self._tell({"stop": self._current})

    def close(self) -> None:
        """Ends the worker; the next request starts another one."""
        with self._write:
            process, self._process = self._process, None
        if process is not None:
            end(process)

    def _exchange(self, request: dict, progress: Windows | None, wanted: Callable[[], bool]) -> dict:
        """The answer; {} where the worker has ended."""
        with self._write:
            self._number += 1
            self._current = self._number  # from here on `stop` reaches it
            if not wanted():
                return {"stopped": True}
            process = self._running()
            self._tell({"request": self._number} | request)
        try:
            for line in pipes_of(process)[1]:
                answer = json.loads(line)
                if answer.pop("request") != self._current:
                    continue
                if "windows" not in answer:
                    return answer
                if progress is not None:
                    progress(*answer["windows"])
        except (OSError, ValueError) as error:  # closed, or killed in the middle of a line
            log.warning("the worker is gone: %s", error)
        if self._process is process:
            self.close()
        return {}

    def _tell(self, message: dict) -> None:
        process = self._process
        if process is None:
            return
        try:
            pipe = pipes_of(process)[0]
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except (OSError, ValueError) as error:  # the reader of answers will see its end
            log.warning("the worker is gone: %s", error)

    def _running(self) -> subprocess.Popen[str]:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return process
