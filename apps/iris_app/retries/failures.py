"""Failures: what could not be pre-labelled, told apart by whether it may succeed later.

A permanent fault is the study's own and is kept beside its results. A passing one belongs to the disk, the
memory or a lock: the study rests for a growing pause and is tried again. A fault of the program is tried a
few times and then kept.
"""

from __future__ import annotations

import logging

from apps.iris_app.catalogue.study import Study
from apps.iris_app.computing.result_store import ResultStore
from apps.iris_app.lib.state import State, stamp
from apps.iris_app.retries.attempts import Attempts
from apps.iris_app.retries.pauses import Pauses
from iris_core.errors import IrisError, may_pass

log = logging.getLogger(__name__)

SURPRISES = 3  # tries of a study at which the program fails in a way that nobody foresaw
KILLED = "the job was ended from outside while it was at this study, perhaps for lack of memory"


class Failures:
    """What failed, by study and key.

    Args:
        state: where begun work is noted.
        results: where permanent faults are kept.
    """

    def __init__(self, state: State, results: ResultStore) -> None:
        self._results, self.pauses = results, Pauses()
        self._attempts = Attempts(state.attempts)
        for key, times in self._attempts.unfinished.items():
            if times > 1:  # a job that ends once, ends for many reasons
                self.pauses.failed(key, KILLED, times - 1)

    def begin(self, key: str) -> None:
        """Notes that a study is being computed."""
        self._attempts.begin(key)

    def end(self, key: str) -> None:
        """Notes that its computing has ended."""
        self._attempts.end(key)

    def note(self, study: Study, key: str, error: Exception) -> None:
        """Notes why a study could not be computed."""
        foreseen = isinstance(error, IrisError)
        said = " ".join(str(error).split())
        reason = str(error) if foreseen else f"unexpected {type(error).__name__}: {said}"
        passing = may_pass(error) or stamp(study.image) != study.stamp
        if not passing and foreseen:
            self._keep(study, key, reason)
            return
        times = self.pauses.failed(key, reason)
        if foreseen or passing:
            log.warning("%s: %s; it is tried again later (failure %d)", study.id, reason, times)
            return
        log.error("%s: a fault of the program (failure %d)", study.id, times, exc_info=error)
        if times >= SURPRISES:
            self._keep(study, key, reason)

    def _keep(self, study: Study, key: str, reason: str) -> None:
        log.warning("%s: %s", study.id, reason)
        try:
            self._results.put_problem(study.id, key, reason)
            self.pauses.succeeded(key)
        except IrisError as error:  # the disk is full as well
            self.pauses.failed(key, f"{reason} ({error})")
