"""Prelabelling: segments every unlabelled study with the references there are, over and over as they change.

It works from the catalogue alone and keeps nothing but results, which are written whole: killed at any moment
and started again, it goes on with what is missing. The studies of most use come first: those that somebody is
about to open, then those that looked least like the references.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from apps.iris_app.lib.annotator import Annotator
from apps.iris_app.lib.catalogue import Catalogue, Outdated
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.reference_choice import chosen_references
from apps.iris_app.lib.result_store import ResultStore, result_key
from apps.iris_app.lib.state import State, read_json, stamp, write_json
from apps.iris_app.lib.study import Study
from iris_core.errors import InputError, IrisError

log = logging.getLogger(__name__)

POLL = 0.3  # seconds between two looks at the catalogue
DEFAULT = Options()


class Interrupted(Exception):
    """The catalogue changed, or the job was cancelled, while a study was being computed."""


class Prelabelling:
    """Keeps the pre-labels of a datastore fresh.

    Args:
        annotator: computes.
        alive: says whether to go on.
    """

    def __init__(self, annotator: Annotator, alive: Callable[[], bool] = lambda: True) -> None:
        self.annotator, self.state, self.alive = annotator, annotator.state, alive
        self._seconds: list[float] = []
        self._seen = ""
        self._failed: dict[str, str] = {}

    def run(self, *, until_done: bool = False) -> None:
        """Works until `alive` says no, or until nothing is left to do.

        Raises:
            InputError: another process works on this datastore already.
        """
        try:
            with FileLock(self.state.job_lock, timeout=0):
                self.state.sweep()
                while self.alive():
                    if not self.step():
                        if until_done:
                            return
                        time.sleep(POLL)
        except Timeout:
            raise InputError("another pre-label job is at work", where=self.state.root) from None

    def step(self) -> bool:
        """Does the next piece of work; False where there is none, or the job is cancelled."""
        if self.state.cancelled.exists():
            self._tell("cancelled", None, 0, 0)
            return False
        self._seen = stamp(self.state.catalogue)
        catalogue = Catalogue(self.state)
        todo, done = self._missing(catalogue)
        try:
            if todo:
                self._prelabel(catalogue, todo[0], done, len(todo))
                return True
            self._tell("idle", None, done, 0)
            return self._compare(catalogue)
        except Interrupted:
            time.sleep(POLL)
            return True

    def _missing(self, catalogue: Catalogue) -> tuple[list[Study], int]:
        """Studies without a fresh result, most useful first, and how many have one."""
        if not catalogue.usable:
            return [], 0
        word = self.annotator.weights
        results = self.annotator.results
        found = {
            study.id: results.find(study.id, default_key(catalogue, study.id, word))
            for study in catalogue.unlabelled
        }
        self._failed = {name: r.record["problem"] for name, r in found.items() if r and "problem" in r.record}
        waiting = {study.id: study for study in catalogue.unlabelled if found[study.id] is None}
        likeness = {name: self._latest_likeness(name) for name in waiting}
        wanted = read_json(self.state.wanted, [])
        order = sorted(
            waiting, key=lambda name: (name not in wanted, -wanted.index(name) if name in wanted else 0,
                                       likeness[name], name),
        )  # fmt: skip
        return [waiting[name] for name in order], len(catalogue.unlabelled) - len(waiting)

    def _latest_likeness(self, study: str) -> float:
        values = self.annotator.results.latest_likeness(study)
        return min(values.values()) if values else 0.0

    def _prelabel(self, catalogue: Catalogue, study: Study, done: int, left: int) -> None:
        started = time.perf_counter()
        self._tell("running", study.id, done, left)
        key = default_key(catalogue, study.id, self.annotator.weights)

        def pause(windows: int, total: int) -> None:
            self._pause(windows, total)
            if self.annotator.results.find(study.id, key) is not None:  # the worker was quicker
                raise Interrupted

        try:
            self.annotator.annotate(catalogue, study.id, DEFAULT, pause)
        except (Interrupted, Outdated):
            raise Interrupted from None
        except IrisError as error:
            self.annotator.results.put_problem(study.id, key, str(error))
            log.warning("%s: %s", study.id, error)
        except Exception as error:  # one study must not hold up the others
            fault = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
            self.annotator.results.put_problem(study.id, key, fault)
            log.exception("%s: a fault of the program", study.id)
        self._seconds = [*self._seconds[-9:], time.perf_counter() - started]
        log.info("%s: pre-labelled in %.1f s", study.id, self._seconds[-1])

    def _compare(self, catalogue: Catalogue) -> bool:
        """Measures how much one more pre-labelled study looks like the references; False where all are."""
        results, word = self.annotator.results, self.annotator.weights
        for study in catalogue.unlabelled if catalogue.usable else ():
            key = default_key(catalogue, study.id, word)
            result = results.find(study.id, key)
            if result is None or "problem" in result.record or results.likeness(study.id, key) is not None:
                continue
            self._pause(0, 1)
            try:
                likeness = self.annotator.likeness(catalogue, result, DEFAULT)
            except IrisError as error:
                log.warning("%s: %s", study.id, error)
                likeness = {}
            results.put_likeness(study.id, key, likeness)
            return True
        return False

    def _pause(self, done: int, total: int) -> None:
        """Between two windows: gives way to a person who waits, and stops work that is out of date."""
        if self.state.cancelled.exists() or stamp(self.state.catalogue) != self._seen or not self.alive():
            raise Interrupted
        with FileLock(self.state.interactive_lock):
            pass

    def _tell(self, state: str, current: str | None, done: int, left: int) -> None:
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else None
        told = {
            "state": state,
            "current": current,
            "done": done,
            "total": done + left,
            "eta_seconds": round(mean * left, 1) if mean is not None else None,
            "failed": self._failed,
            "pid": os.getpid(),
        }
        if read_json(self.state.progress, None) != told:
            write_json(told, self.state.progress)


def default_key(catalogue: Catalogue, study: str, weights: str) -> str:
    """The key of a study's pre-label.

    Raises:
        InputError: there is no reference for it.
    """
    return result_key(catalogue, study, DEFAULT, chosen_references(catalogue, study, DEFAULT), weights)


def prelabels(catalogue: Catalogue, results: ResultStore, weights: str) -> dict[str, object]:
    """The finished pre-label of every unlabelled study that has a fresh one."""
    if not catalogue.usable:
        return {}
    found = {
        study.id: results.find(study.id, default_key(catalogue, study.id, weights))
        for study in catalogue.unlabelled
    }
    return {study: result for study, result in found.items() if result and "problem" not in result.record}


def cancel(state: State) -> None:
    """Stops the job within a window, until `resume`."""
    state.cancelled.touch()


def resume(state: State) -> None:
    """Lets a cancelled job go on."""
    state.cancelled.unlink(missing_ok=True)


def want(state: State, study: str) -> None:
    """Puts a study first: somebody is about to open it."""
    wanted = [name for name in read_json(state.wanted, []) if name != study]
    write_json([*wanted[-19:], study], state.wanted)
