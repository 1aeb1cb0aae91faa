"""Service: what happens beside the host's requests.

It follows the datastore, keeps the pre-label job running, publishes what the job has finished, and hands what
a person waits for to the worker.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from monailabel.interfaces.datastore import Datastore

from apps.iris_app.answers.withholding import shown
from apps.iris_app.catalogue.catalogue import Catalogue
from apps.iris_app.catalogue.reference_choice import chosen_references
from apps.iris_app.catalogue.study import Study
from apps.iris_app.computing.annotator import Annotator, weights_word
from apps.iris_app.computing.result_store import Result, ResultStore, result_key
from apps.iris_app.computing.tuned_store import TunedStore
from apps.iris_app.computing.weights import weights_method
from apps.iris_app.computing.worker_client import WorkerClient
from apps.iris_app.datastores.datastore_view import studies_of, study_here
from apps.iris_app.datastores.index_copy import keep_copy
from apps.iris_app.datastores.read_only_folder import home_of_labels
from apps.iris_app.lib.options import WITHHOLD_BELOW, Options
from apps.iris_app.lib.originals import Originals
from apps.iris_app.lib.state import State, read_json, stamp
from apps.iris_app.prelabels.job_control import seen_by_job
from apps.iris_app.prelabels.prelabelling import prelabels
from apps.iris_app.reading.label_reader import LabelReader
from apps.iris_app.submissions.submissions import Submissions
from apps.iris_app.waiting.line import Line
from apps.iris_app.waiting.lookout import Lookout
from apps.iris_app.waiting.order import Waiter
from apps.iris_app.waiting.shared_run import SharedRun
from iris_core.allocator import give_memory_back
from iris_core.errors import InputError

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at the datastore
SWITCH = 0.0005  # seconds that a busy thread keeps the others waiting; many of ours wait for moments
ENDING = "The server is about to end; ask again when it is back"
RESTART = 3.0  # seconds before a job that died is started again


class Service:
    """Serves one datastore.

    Args:
        state: the app's state.
        datastore: the host's.
        folder: of the images, where the datastore is one.
        checkpoint: weights; the shipped ones when None.
        originals: publish pre-labels as original labels.
    """

    def __init__(
        self,
        state: State,
        datastore: Datastore,
        folder: Path | None,
        checkpoint: Path | None,
        originals: bool,
    ) -> None:
        self.state, self.datastore, self.checkpoint = state, datastore, checkpoint
        self._folder = folder
        self.catalogue = Catalogue(state, folder)
        self.results, self.tuned = ResultStore(state), TunedStore(state)
        self._originals, self._publishes = Originals(state, datastore), originals
        self.lookout = Lookout(self.refresh)
        self.line: Line | None = None  # requests that wait for the worker; None in a subprocess of the host
        self._submitted: set[str] = set()  # studies whose final label came after the last look
        self.given: dict[str, float] = {}  # study -> when it was handed out; the datastore says so later
        self.submissions = Submissions(state, datastore, self._originals.ours)
        self._job: subprocess.Popen | None = None
        self._job_started = 0.0
        self._published = ("", "")
        self._wake = threading.Event()
        self._looks = SharedRun(self._refresh)

    @property
    def weights(self) -> str:
        """A word for the weights and what was tuned on top of them.

        Raises:
            InputError: there are none.
        """
        return weights_word(weights_method(self.checkpoint), self.tuned)

    def start(self) -> None:
        """Begins to follow the datastore; the caller is the server, not one of its subprocesses."""
        worker = WorkerClient(self.state, self.checkpoint)
        self.line = Line(worker, self._known_key, self.results.usual_seconds)
        self._reader = LabelReader()
        self.catalogue.read = self._reader.read
        sys.setswitchinterval(SWITCH)
        self._close_before_the_end()
        threading.Thread(target=self._follow, name="iris", daemon=True).start()

    @property
    def served(self) -> Line:
        """The requests that wait for the worker.

        Raises:
            RuntimeError: the service was not started, as in a subprocess of the host.
        """
        if self.line is None:
            raise RuntimeError("the service was not started")
        return self.line

    def look(self) -> None:
        """Looks at the datastore at once, in the background."""
        self._wake.set()

    @property
    def datastore_is_archive(self) -> bool:
        """Whether labels go to a DICOM archive and not into a folder."""
        return self._folder is None

    def refresh(self) -> None:
        """Takes over what the datastore says now; threads that ask meanwhile share a look."""
        self._looks.run()

    def _refresh(self) -> None:
        """Takes over what the datastore says.

        A subprocess of the host takes over what the server wrote: two that number classes would differ.
        """
        if self.line is None:
            self.catalogue = Catalogue(self.state, self._folder)
            return
        submitted = set(self._submitted)
        if self.catalogue.refresh(studies_of(self.datastore)):
            give_memory_back()  # of the labels that were read
        self._submitted -= submitted

    def submitted(self, study: str) -> None:
        """Takes note of a final label that has just been saved, long before it is read."""
        self._submitted.add(study)
        self.look()

    def unlabelled(self) -> list[str]:
        """Ids of the studies without a final label; answers at once, also while labels are being read."""
        labelled = set(self._submitted)
        if self._folder is not None:  # an archive would have to be asked
            labelled.update(self.datastore.get_labeled_images())
        return [study.id for study in self.catalogue.snapshot().unlabelled if study.id not in labelled]

    def study(self, name: str) -> Study | None:
        """A study, known without waiting for a label; None where the datastore has none of this name."""
        return self.catalogue.snapshot().studies.get(name) or study_here(self.datastore, name)

    def lists(self, name: str) -> bool:
        """Whether the datastore has a study; the catalogue may have it at the next look only."""
        return self.study(name) is not None

    def find(self, study: str, options: Options) -> tuple[str, Result | None]:
        """The key of a study's segmentation, and the segmentation itself where it is kept.

        Raises:
            InputError: there cannot be one; the message says why.
        """
        catalogue = self.catalogue.snapshot()
        references = chosen_references(catalogue, study, options)
        key = result_key(catalogue, study, options, references, self.weights)
        return key, self._kept(study, key)

    def computed(self, study: str, key: str) -> Result:
        """A result that the worker has just kept.

        Raises:
            InputError: it is gone already.
        """
        found = self._kept(study, key)
        if found is None:
            raise InputError("The result has just become outdated", where=study, remedy="ask again")
        return found

    def result(self, study: str, options: Options) -> Result:
        """The segmentation of a study: kept, or waited for; computed here where there is no worker.

        Raises:
            InputError: it cannot be computed; the message says why.
            LeftQueue: the request was taken out of the queue.
            WorkerLost: the worker died twice.
        """
        key, kept = self.find(study, options)
        if kept is not None:
            return kept
        if self.line is None:
            annotator = Annotator(self.state, self.checkpoint, options.device)
            return annotator.annotate(self.catalogue.snapshot(), study, options)
        waiter = self.line.join(study, options, key, Waiter())
        try:
            return self.computed(study, waiter.key.result(options.time_limit))
        except FutureTimeout:
            self.line.drop(waiter)
            raise InputError("The time limit has passed", where=study, remedy="ask again") from None

    def save(self, result: Result, tag: str) -> str:
        """Saves a result under a tag, "no" for not at all; gives what a person should know of it, or "".

        A refusal is a warning and no error: the result itself is fine.
        """
        if tag == "no":
            return ""
        try:
            self._originals.save(result, tag)
        except InputError as error:
            return f"not saved as {tag}: {error}"
        except Exception as error:  # an archive may refuse it; what was computed is answered all the same
            log.exception("%s cannot be saved as %s", result.study, tag)
            return f"not saved as {tag}: {type(error).__name__}: {error}"
        self.look()
        return ""

    def prelabels(self) -> dict[str, Result]:
        """The finished pre-labels of unlabelled studies that are up to date."""
        return prelabels(self.catalogue.snapshot(), self.results, self.weights)

    def _kept(self, study: str, key: str) -> Result | None:
        kept = self.results.find(study, key)
        return None if kept is None or "problem" in kept.record else kept

    def _known_key(self, study: str, options: Options) -> str | None:
        key, kept = self.find(study, options)
        return key if kept is not None else None

    def _close_before_the_end(self) -> None:
        """Sends waiting requests away when the server is asked to end, which would else wait for them."""
        if threading.current_thread() is not threading.main_thread():
            return
        line = self.served
        for kind in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(kind)

            def close(number: int, frame: FrameType | None, before: Any = before) -> None:
                threading.Thread(target=line.close, args=(ENDING,), daemon=True).start()
                if callable(before):
                    before(number, frame)

            signal.signal(kind, close)

    def _follow(self) -> None:
        while True:
            try:
                self.refresh()
                self._keep_job()
                fetch_next = getattr(self.datastore, "fetch_next", None)
                while fetch_next is not None and fetch_next():
                    self.refresh()
                self._publish()
                self._reader.rest()
                if getattr(self.datastore, "index_lags", False):
                    self.datastore.write_index()
                if self._folder is not None:
                    keep_copy(home_of_labels(self._folder, self.state), self.state)
            except Exception:  # a datastore that is away for a moment must not end the service
                log.warning("looking at the datastore failed", exc_info=True)
            self._wake.wait(LOOK)
            self._wake.clear()

    def _publish(self) -> None:
        """Saves pre-labels that have come since the last time as originals."""
        seen = (stamp(self.state.progress), stamp(self.state.catalogue))
        if self._publishes and seen != self._published:
            for result in self.prelabels().values():
                with suppress(InputError):  # nothing of it can be trusted, so nothing is published
                    self._originals.publish(shown(result, WITHHOLD_BELOW, self.results))
            self._published = seen

    def _keep_job(self) -> None:
        running = self._job is not None and self._job.poll() is None
        if running or time.monotonic() - self._job_started < RESTART:
            return
        if self._job is not None and self._job.returncode == 0:
            if read_json(self.state.rested, None) == seen_by_job(self.state):
                return
        elif self._job is not None:
            log.warning("the pre-label job ended with %s; it is started again", self._job.returncode)
        command = [sys.executable, "-m", "apps.iris_app.prelabel_job", str(self.state.root)]
        command += ["--parent", str(os.getpid())]
        command += ["--checkpoint", str(self.checkpoint)] if self.checkpoint else []
        self._job, self._job_started = subprocess.Popen(command), time.monotonic()
