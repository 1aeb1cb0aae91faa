"""Prelabelling: segments every unlabelled study with the references there are, over and over as they change.

It works from the catalogue alone and keeps nothing but results, which are written whole: killed at any moment
and started again, it goes on with what is missing. The studies of most use come first: those that somebody is
about to open, then those that looked least like the references. Small studies are computed side by side,
since one alone leaves cores idle.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from filelock import FileLock, Timeout

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated
from apps.iris_app.catalogue.reference_choice import chosen_references
from apps.iris_app.catalogue.study import Study
from apps.iris_app.computing.annotator import Annotator
from apps.iris_app.computing.result_store import Result, ResultStore, result_key
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import stamp, write_json
from apps.iris_app.prelabels.comparison import Comparison
from apps.iris_app.prelabels.job_control import seen_by_job
from apps.iris_app.prelabels.turn import Turn
from apps.iris_app.retries.failures import SURPRISES, Failures
from iris_core.errors import InputError, IrisError

log = logging.getLogger(__name__)

POLL = 0.3  # seconds between two looks at the catalogue
TURN = 1.0  # seconds after which a job at work looks at the catalogue again
REST = 10.0  # seconds with nothing to do after which the job ends, to give its memory back
RECHECK = 5.0  # seconds after which a job that has nothing to do looks at all results again
LANES = 2  # small studies that are computed at once
SMALL = 4 << 20  # bytes of an image file; two larger ones at once would want much memory
NEVER = (-RECHECK, ())
DEFAULT = Options()


class Interrupted(Exception):
    """The catalogue changed, or the job was cancelled, while a study was being computed."""


class Prelabelling:
    """Keeps the pre-labels of a datastore fresh.

    Args:
        annotator: computes.
        alive: says whether to go on.
        threads: of the processor that it may use.
    """

    def __init__(
        self, annotator: Annotator, alive: Callable[[], bool] = lambda: True, threads: int = 1
    ) -> None:
        self.annotator, self.state, self.alive = annotator, annotator.state, alive
        self.threads, self.lanes = threads, min(LANES, threads)
        self._pool = ThreadPoolExecutor(self.lanes)
        self._running: dict[str, tuple[Study, Future[float | None]]] = {}
        self._seconds: list[float] = []
        self._failed: dict[str, str] = {}
        self._resting: list[str] = []  # studies that are tried again later
        self._reasons: dict[str, str] = {}  # why studies failed that are or will be tried again
        self._failures = Failures(self.state, annotator.results)
        self._comparison = Comparison(annotator, DEFAULT)
        self._turn = Turn(self.state, annotator.results)
        self._retried = stamp(self.state.retry)
        self._told: dict[str, object] = {}
        self._settled: tuple[float, tuple[str, ...]] = NEVER  # when and as of what nothing was left to do

    def run(self, *, until_done: bool = False, rest: float | None = None) -> None:
        """Works until `alive` says no.

        Args:
            until_done: ends when nothing is left to do.
            rest: ends when nothing was left to do for so many seconds; None goes on for ever. The state then
                holds what was seen last, so that whoever starts the job knows whether there is anything new.

        Raises:
            InputError: another process works on this datastore already.
        """
        try:
            with FileLock(self.state.job_lock, timeout=0), self._pool:
                self.state.sweep()
                self.state.rested.unlink(missing_ok=True)
                busy = time.monotonic()
                while self.alive():
                    seen = seen_by_job(self.state)
                    if self.step():
                        busy = time.monotonic()
                    elif until_done and not self._worth_waiting():
                        return
                    elif rest is not None and not self._due and time.monotonic() - busy > rest:
                        if self._noted(seen):
                            return
                        busy = time.monotonic()
                    else:
                        time.sleep(POLL)
        except Timeout:
            raise InputError("another pre-label job is at work", where=self.state.root) from None

    def step(self) -> bool:
        """Does the next piece of work; False where there is none, or the job is cancelled."""
        if self.state.cancelled.exists():
            self._finish()
            self._settled = NEVER
            self._tell("cancelled", 0, 0)
            return False
        seen = self._seen()
        when, settled = self._settled
        if settled == seen and time.monotonic() - when < RECHECK:
            return False
        catalogue = Catalogue(self.state)
        self._finish(wait_for=0)
        todo, done = self._missing(catalogue, seen[0])
        waiting = [study for study in todo if study.id not in self._running]
        while waiting and self._room(waiting[0]):
            study = waiting.pop(0)
            self._running[study.id] = (study, self._pool.submit(self._prelabel, catalogue, study, seen[0]))
        if self._running:
            self._tell("running", done, len(todo) + len(self._resting) + len(self._failed))
            self._finish(wait_for=TURN)
            return True
        self._tell("waiting" if self._resting else "idle", done, len(self._resting) + len(self._failed))
        if self._compare(catalogue, seen[0]):
            return True
        self._settled = (time.monotonic(), seen)
        return False

    def _seen(self) -> tuple[str, ...]:
        """Changes whenever there may be something new to do."""
        return tuple(seen_by_job(self.state))

    @property
    def _due(self) -> bool:
        """Whether something is tried again later."""
        return bool(self._resting) or self._comparison.rests

    def _noted(self, seen: list[str]) -> bool:
        """Writes down what was seen last; says whether that was possible."""
        try:
            write_json(seen, self.state.rested)
        except IrisError as error:  # the disk is full, say
            log.warning("what the job has seen cannot be written: %s", error)
            return False
        return True

    def _worth_waiting(self) -> bool:
        """Whether something rests that has not failed often yet."""
        fewest = self._failures.pauses.fewest_failures if self._resting else None
        return fewest is not None and fewest < SURPRISES

    def _room(self, study: Study) -> bool:
        """Whether a study may be computed beside those that are being computed."""
        at_work = [running for running, _ in self._running.values()]
        return not at_work or (len(at_work) < self.lanes and all(map(_small, [study, *at_work])))

    def _finish(self, wait_for: float | None = None) -> None:
        """Takes studies off the list that are done, after waiting for the first one, None: for all."""
        futures = [future for _, future in self._running.values()]
        if futures:
            wait(futures, wait_for, FIRST_COMPLETED if wait_for is not None else "ALL_COMPLETED")
        for name, (_, future) in list(self._running.items()):
            if future.done():
                del self._running[name]
                seconds = future.result()
                if seconds is not None:
                    self._seconds = [*self._seconds[-9:], seconds]

    def _missing(self, catalogue: Catalogue, seen: str) -> tuple[list[Study], int]:
        """Studies without a fresh result, most useful first, and how many have one."""
        self._failed, self._resting, self._reasons = {}, [], {}
        if not catalogue.usable:
            return [], 0
        word = self.annotator.weights
        results = self.annotator.results
        keys = {study.id: default_key(catalogue, study.id, word) for study in catalogue.unlabelled}
        found = {name: results.find(name, key) for name, key in keys.items()}
        self._failed = {name: r.record["problem"] for name, r in found.items() if r and "problem" in r.record}
        waiting = {study.id: study for study in catalogue.unlabelled if found[study.id] is None}
        done = len(catalogue.unlabelled) - len(waiting) - len(self._failed)
        self._rest(waiting, keys)
        names = [name for name in self._turn.order(waiting, seen) if name not in self._resting]
        return [waiting[name] for name in names], done

    def _rest(self, waiting: Mapping[str, Study], keys: Mapping[str, str]) -> None:
        """Finds out which of the waiting studies failed and are not yet due to be tried again."""
        pauses = self._failures.pauses
        if stamp(self.state.retry) != self._retried:
            self._retried = stamp(self.state.retry)
            pauses.end()
        pauses.keep({keys[name] for name in waiting})
        reasons = pauses.reasons
        self._resting = [name for name in waiting if pauses.waits(keys[name])]
        self._reasons = {name: reasons[keys[name]] for name in waiting if keys[name] in reasons}

    def _prelabel(self, catalogue: Catalogue, study: Study, seen: str) -> float | None:
        """Computes a study in a thread of its own; gives the seconds it took, None: it was interrupted."""
        import torch

        torch.set_num_threads(max(1, self.threads // (self.lanes if _small(study) else 1)))
        started = time.perf_counter()
        key = default_key(catalogue, study.id, self.annotator.weights)

        def pause(_windows: int, _total: int) -> None:
            self._pause(seen)
            if self.annotator.results.find(study.id, key) is not None:  # the worker was quicker
                raise Interrupted

        try:
            self._failures.begin(key)
            self.annotator.annotate(catalogue, study.id, DEFAULT, pause)
            self._failures.pauses.succeeded(key)
        except (Interrupted, Outdated):
            time.sleep(POLL)
            return None
        except Exception as error:  # one study must not hold up the others
            self._failures.note(study, key, error)
            return None
        finally:
            self._failures.end(key)
        seconds = time.perf_counter() - started
        log.info("%s: pre-labelled in %.1f s", study.id, seconds)
        return seconds

    def _compare(self, catalogue: Catalogue, seen: str) -> bool:
        """Measures how much one more pre-labelled study looks like the references; False where all are."""
        word = self.annotator.weights
        keys = (
            (study.id, default_key(catalogue, study.id, word))
            for study in (catalogue.unlabelled if catalogue.usable else ())
        )
        try:
            return self._comparison.one_more(catalogue, keys, lambda: self._pause(seen))
        except (Interrupted, Outdated):
            time.sleep(POLL)
            return True

    def _pause(self, seen: str) -> None:
        """Between two windows: gives way to a person who waits, and stops work that is out of date."""
        if self.state.cancelled.exists() or stamp(self.state.catalogue) != seen or not self.alive():
            raise Interrupted
        with FileLock(self.state.interactive_lock):
            pass

    def _tell(self, state: str, done: int, left: int) -> None:
        """Writes how far the job is: `done` studies have a result, `left` have none, failed ones too.

        The state is "waiting" where nothing is left but studies that are tried again later.
        """
        reasons = self._reasons if state != "cancelled" else {}
        rest = self._failures.pauses.seconds_left if self._resting and reasons else None
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else None
        told: dict[str, object] = {
            "state": state,
            "current": ", ".join(self._running) or None,
            "done": done,
            "total": done + left,
            "eta_seconds": round(mean * left / self.lanes, 1) if mean is not None else None,
            "failed": {**self._failed, **reasons},
            "tried_again": sorted(reasons),
            "retry_seconds": None if rest is None else round(rest),
            "pid": os.getpid(),
        }
        if told != self._told:
            try:
                write_json(told, self.state.progress)
                self._told = told
            except IrisError as error:  # the disk is full, say; the next step tries again
                log.warning("how far the job is cannot be written: %s", error)


def _small(study: Study) -> bool:
    """Whether an image leaves cores and memory for another one."""
    return study.image.is_file() and study.image.stat().st_size <= SMALL


def default_key(catalogue: Catalogue, study: str, weights: str) -> str:
    """The key of a study's pre-label.

    Raises:
        InputError: there is no reference for it.
    """
    return result_key(catalogue, study, DEFAULT, chosen_references(catalogue, study, DEFAULT), weights)


def prelabels(catalogue: Catalogue, results: ResultStore, weights: str) -> dict[str, Result]:
    """The finished pre-label of every unlabelled study that has a fresh one."""
    if not catalogue.usable:
        return {}
    found = {
        study.id: results.find(study.id, default_key(catalogue, study.id, weights))
        for study in catalogue.unlabelled
    }
    return {study: result for study, result in found.items() if result and "problem" not in result.record}
