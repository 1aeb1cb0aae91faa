"""Which study to label next. Studies handed out a short while ago come last."""

from __future__ import annotations

import random
import time
from abc import abstractmethod

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from apps.iris_app.lib.service import Service

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
        self._service.refresh()
        waiting = [study.id for study in self._service.catalogue.unlabelled]
        free = [name for name in waiting if time.time() - _handed_out(datastore, name) > AT_WORK]
        candidates = free or waiting
        if not candidates:
            return None
        weights = self.weigh(candidates)
        chosen = max(candidates, key=weights.__getitem__)
        return {"id": chosen, "weight": round(weights[chosen], 4)}

    @abstractmethod
    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """How much each candidate deserves to be next; of equals the first is taken."""


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
    """The study that teaches most: least like the references, class by class."""

    summary = "The study that looks least like the labelled ones, class by class"

    def weigh(self, candidates: list[str]) -> dict[str, float]:
        """1 minus the cosine of the least alike class; studies without any foreground in view come last."""
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
        return weights


def _handed_out(datastore: Datastore, study: str) -> float:
    """When any strategy last gave this study to somebody; seconds since the epoch, 0 for never."""
    given = (datastore.get_image_info(study) or {}).get("strategy", {})
    return max((float(entry.get("ts", 0)) for entry in given.values()), default=0.0)
