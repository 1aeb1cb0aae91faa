"""CpuBatchInfer: the host's batch run, made to work where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask


class CpuBatchInfer(BatchInferTask):
    """One study after the other, on the device that is there."""

    def __call__(self, request: dict, datastore: Datastore, infer: Callable) -> dict:
        """Runs the batch; the host's default spreads over GPUs and divides by their number."""
        device = "auto" if request.get("device") in (None, "cuda") else request["device"]
        return super().__call__(
            {**request, "multi_gpu": False, "max_workers": 1, "device": device}, datastore, infer
        )
