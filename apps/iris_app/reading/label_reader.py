"""LabelReader: reads a final label where it costs the server least.

Python runs one thread at a time: a label of a hundred million voxels, read in the server, makes every answer
late.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

from apps.iris_app.catalogue.drawn import Drawn, read_drawn
from apps.iris_app.catalogue.study import FinalLabel
from apps.iris_app.piped_process import end, pipes_of
from iris_core.errors import PassingError

SMALL = 64 << 10  # bytes of a file that is read at once; packed as well as gzip can, it holds 66 MB
REST = 30.0  # seconds without a label after which the process ends


class LabelReader:
    """A handle on the process that reads, which is started when it is first needed. Threads may share it."""

    def __init__(self) -> None:
        self._command = [sys.executable, "-m", "apps.iris_app.reading.label_process"]
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._used = 0.0

    def read(self, final: FinalLabel, studies: Path | None) -> Drawn:
        """Reads the values of a final label.

        Args:
            final: the label.
            studies: folder of the images.

        Raises:
            InputError: the file cannot be read, or nothing is drawn in it.
            PassingError: the process ended on the way; for want of memory, say.
        """
        if final.path.is_file() and final.path.stat().st_size <= SMALL:
            return read_drawn(final, studies)
        with self._turn:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            try:
                questions, answers = pipes_of(process)
                pickle.dump((final, studies), questions)
                questions.flush()
                answer = pickle.load(answers)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._end()
                raise PassingError("The process that reads labels ended", where=final.path) from error
            self._used = time.monotonic()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rest(self) -> None:
        """Ends the process where it was not needed for a while."""
        if self._process is None or not self._turn.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._used > REST:
                self._end()
        finally:
            self._turn.release()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process)
