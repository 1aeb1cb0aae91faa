"""Comparison: measuring how much pre-labelled studies look like the references, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated
from apps.iris_app.computing.annotator import Annotator
from apps.iris_app.computing.result_store import Result
from apps.iris_app.lib.options import Options
from apps.iris_app.retries.pauses import Pauses
from iris_core.errors import IrisError, may_pass

log = logging.getLogger(__name__)

ALL = "comparison"  # what rests is the whole of it: its faults are the disk's


class Comparison:
    """Measures likeness where it is missing.

    Args:
        annotator: measures.
        options: of the results that are measured.
    """

    def __init__(self, annotator: Annotator, options: Options) -> None:
        self._annotator, self._options = annotator, options
        self._pauses = Pauses()

    @property
    def rests(self) -> bool:
        """Whether it failed and is tried again later."""
        return self._pauses.waits(ALL)

    def one_more(
        self, catalogue: Catalogue, keys: Iterable[tuple[str, str]], pause: Callable[[], None]
    ) -> bool:
        """Measures the first study whose likeness is missing; False where none is, or the disk is full, say.

        Args:
            catalogue: as the server wrote it last.
            keys: (study, key of its result).
            pause: called before the measuring; what it raises goes on to the caller.

        Raises:
            Outdated: a file changed on the way.
        """
        results = self._annotator.results
        if self._pauses.waits(ALL):
            return False
        for study, key in keys:
            result = results.find(study, key)
            if result is None or "problem" in result.record or results.likeness(study, key) is not None:
                continue
            pause()
            try:
                results.put_likeness(study, key, self._measured(catalogue, result))
            except Outdated:
                raise
            except IrisError as error:
                self._pauses.failed(ALL)
                log.warning("%s: %s", study, error)
                return False
            self._pauses.succeeded(ALL)
            return True
        return False

    def _measured(self, catalogue: Catalogue, result: Result) -> dict[str, float]:
        """The likeness; empty where the study's own fault prevents it."""
        try:
            return self._annotator.likeness(catalogue, result, self._options)
        except Outdated:
            raise
        except IrisError as error:
            if may_pass(error):
                raise
            log.warning("%s: %s", result.study, error)
            return {}
