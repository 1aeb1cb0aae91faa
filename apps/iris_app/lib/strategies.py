"""Which study to label next. Studies handed out a short while ago come last.

Whoever asks is answered from what is known already: a label that is being read keeps nobody waiting.
"""

from __future__ import annotations

import math
import random
import threading
import time
from abc import abstractmethod

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.iris_app.lib.service import Service

_TURN = threading.Lock()  # held while a study is chosen, so that two people never get the same one
GOOD_FOR = 3.0  # seconds
AT_WORK = 1800  # seconds that a study which was handed out counts as somebody's


class StudyStrategy(Strategy):
    """Chooses among the studies without a final label.

    Args:
        service: knows studies and pre-labels.
    """

    summary = ""

    def __init__(self, service: Service) -> None:
        super().__init__(self.summary)
        self._service = service

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """{"id": ..., "weight": ...} of the chosen study; None where all are labelled."""
        with _TURN:
            waiting = self._service.unlabelled()
            free = [name for name in waiting if time.time() - self._handed_out(datastore, name) > AT_WORK]
            candidates = free or waiting
            if not candidates:
                return None
            weights = self.weigh(candidates)
            chosen = max((name for name in candidates if name in weights), key=weights.__getitem__)
            self._service.given[chosen] = time.time()
        return {"id": chosen, "weight": round(weights[chosen], 4)}

    def _handed_out(self, datastore: Datastore, study: str) -> float:
        """When any strategy last gave this study to somebody; seconds since the epoch, 0 for never."""
        return max(self._service.given.get(study, 0.0), handed_out(datastore.get_image_info(study)))

    @abstractmethod
    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """How much each candidate deserves to be next; the first of equals is taken. Some may be left out."""


class FirstStudy(StudyStrategy):
    """By id."""

    summary = "The first study without a final label"

    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """All alike: candidates come in the order of their ids."""
        return dict.fromkeys(candidates, 1.0)


class RandomStudy(StudyStrategy):
    """By chance."""

    summary = "Any study without a final label"

    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """A random number each."""
        return {name: random.random() for name in candidates}


class NextStudy(StudyStrategy):
    """The study that teaches most: least like the references, class by class.

    As long as any study has a fresh pre-label with something in it, only those are handed out: the others are
    being computed, and whoever opened one would have to wait. See docs/decisions/0081.
    """

    summary = "The study that looks least like the labelled ones, class by class"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._weighed: tuple[float, dict[str, float]] = (-GOOD_FOR, {})

    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """1 minus the cosine of the least alike class; studies without any foreground in view come last.

        Many people may ask at once, and hundreds of studies take a moment: weights are good for some seconds.
        """
        when, weights = self._weighed
        if time.monotonic() - when > GOOD_FOR or not weights.keys() >= set(candidates):
            weights = self._weights(candidates)
            self._weighed = (time.monotonic(), weights)
        return weights

    def _weights(self, candidates: list[str]) -> dict[str, float]:
        results = self._service.results
        try:
            prelabels = self._service.prelabels()
        except Exception:  # no usable weights: any order is as good
            prelabels = {}
        weights = {}
        for name in candidates:
            result = prelabels.get(name)
            likeness = results.latest_likeness(name) if result is None else results.likeness(name, result.key)
            if result is not None and not result.record["label_info"]:
                weights[name] = -1.0
            elif likeness:
                weights[name] = 1.0 - min(likeness.values())
            elif result is not None:
                found = {entry["name"] for entry in result.record["label_info"]}
                weights[name] = 1.0 - min(result.record["expected_dice"][name] for name in found)
            else:
                weights[name] = 0.0
        fresh = {name: weight for name, weight in weights.items() if name in prelabels and weight >= 0}
        return fresh or weights


def handed_out(info: object) -> float:
    """When a study was last handed out, as the datastore says; seconds since the epoch, 0 for never.

    Args:
        info: of the image, which anybody may have written.
    """
    given = info.get("strategy") if isinstance(info, dict) else None
    entries = list(given.values()) if isinstance(given, dict) else []
    times = [entry.get("ts") for entry in entries if isinstance(entry, dict)]
    return max((float(t) for t in times if isinstance(t, (int, float)) and math.isfinite(t)), default=0.0)
