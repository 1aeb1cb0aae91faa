"""InContextTuning: the training button. It tunes embeddings on all final labels, not the network.

The host runs it in a process of its own that builds the app again.
"""

from __future__ import annotations

import logging
import time

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from apps.iris_app.computing.annotator import Annotator
from apps.iris_app.lib.service import Service

log = logging.getLogger(__name__)


class InContextTuning(TrainTask):
    """Tunes and keeps the result, which is never worse on the reference that is held back.

    Args:
        service: knows references and weights.
    """

    def __init__(self, service: Service) -> None:
        super().__init__("Tunes the task embedding on all final labels; a held-back one decides when to stop")
        self._service = service

    def config(self) -> dict:
        """Options as viewers show them."""
        return {"device": ["auto", "cpu", "cuda"]}

    def stats(self) -> dict:
        """The last tuning in the words that viewers read: epochs are steps, the metric is Dice."""
        kept = self._service.tuned.stats
        if not kept:
            return {}
        best = sum(entry["after"] for entry in kept.values()) / len(kept)
        steps = max(entry["steps"] for entry in kept.values())
        return {
            "epoch": steps, "total_epochs": steps, "best_metric": round(best, 4), "by_modality": kept,
            "train": {}, "eval": {"mean_dice": round(best, 4)},
        }  # fmt: skip

    def __call__(self, request: dict, datastore: Datastore) -> dict:
        """Tunes.

        Raises:
            InputError: there is no reference.
        """
        started = time.perf_counter()
        self._service.refresh()
        device = str(request.get("device") or "auto")
        annotator = Annotator(self._service.state, self._service.checkpoint, device)
        tuned = annotator.tune(
            self._service.catalogue, lambda done, steps: log.info("step %d of %d", done, steps)
        )
        for entry in tuned:
            log.info("%(modality)s: held-back Dice %(before).3f -> %(after).3f in %(steps)d steps", entry)
        return self.stats() | {"seconds": round(time.perf_counter() - started, 1)}
