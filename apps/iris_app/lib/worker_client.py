"""WorkerClient: hands requests to the worker process, one at a time, and starts it again when it dies."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State
from iris_core.errors import InputError

log = logging.getLogger(__name__)


class WorkerLost(Exception):
    """The worker ended before it had answered."""


class WorkerClient:
    """A handle on the worker process; threads may share it.

    Args:
        state: where the worker finds the catalogue and keeps results.
        checkpoint: weights; the shipped ones when None.
    """

    def __init__(self, state: State, checkpoint: Path | None = None) -> None:
        self._command = [sys.executable, "-m", "apps.iris_app.worker", str(state.root)]
        self._command += ["--checkpoint", str(checkpoint)] if checkpoint else []
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def annotate(self, study: str, options: Options) -> str:
        """The key of the finished result.

        Raises:
            InputError: the request cannot be answered; the message says why.
            WorkerLost: the worker ended on the way, twice.
        """
        request = json.dumps({"study": study, "options": asdict(options)}) + "\n"
        with self._lock:
            answer = json.loads(self._exchange(request) or self._exchange(request) or "{}")
        if "problem" in answer:
            raise InputError(answer["problem"])
        if "key" not in answer:
            raise WorkerLost(answer.get("fault", "the worker ended before it had answered"))
        return answer["key"]

    def warm(self) -> None:
        """Starts the worker, so that the first request need not wait for its imports."""
        with self._lock:
            self._start()

    def close(self) -> None:
        """Ends the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _exchange(self, request: str) -> str:
        """The answer's line; "" where the worker has ended."""
        self._start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError as error:
            log.warning("the worker is gone: %s", error)
            answer = ""
        if not answer:
            self.close()
        return answer

    def _start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
