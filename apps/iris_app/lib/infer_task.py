"""InContextTask: the host's infer task. It reads options, finds or orders a result, and writes the answer."""

from __future__ import annotations

import logging

from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from apps.iris_app.lib.options import Options, config
from apps.iris_app.lib.reply import write_reply
from apps.iris_app.lib.service import Service
from apps.iris_app.lib.worker_client import WorkerLost
from iris_core.errors import IrisError

log = logging.getLogger(__name__)

MODEL = "in_context"


class InContextTask(InferTask):
    """Segments a study with the final labels of the others as references."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            InferType.SEGMENTATION,
            labels={},
            dimension=3,
            description="In-context segmentation from labelled studies. A finished pre-label is answered at "
            "once. Otherwise the study is computed first; under `monailabel start_server` the server "
            "serves nobody else meanwhile, under `iris serve` it does.",
            config=config(),
        )
        self._service = service

    def info(self) -> dict:
        """The classes of the labelled studies, numbered from 1 without a gap."""
        return super().info() | {"labels": self._service.catalogue.register.numbers}

    def is_valid(self) -> bool:
        """There is nothing to download."""
        return True

    def __call__(self, request: dict) -> tuple[str | None, dict]:
        """Answers a request; `image` is a study's id.

        Returns:
            A temporary file in the study's own grid, and what is to be known about it.

        Raises:
            HTTPException: 404, the study is gone; 422, it cannot be answered; 503, the worker was lost.
        """
        try:
            self._service.refresh()
            if request["image"] not in self._service.catalogue.studies:
                raise HTTPException(404, f"The datastore has no study {request['image']} any more")
            options = Options.read(request, self._service.catalogue)
            result = self._service.result(request["image"], options)
            saved = self._service.save(result, _tag(request, options))
            problems = self._service.catalogue.problems.items()
            warnings = [f"{name} is left out: {why}" for name, why in problems]
            warnings += [*result.record["warnings"], *([saved] if saved else [])]
            return write_reply(result, request), {**result.record, "warnings": warnings}
        except IrisError as error:
            raise HTTPException(422, str(error)) from error
        except WorkerLost as error:
            log.error("%s", error)
            raise HTTPException(503, f"The study could not be computed: {error}; try again") from error


def _tag(request: dict, options: Options) -> str:
    """Where the result is saved: what our option says, else the host's own save_label and label_tag."""
    if options.save_as != "no" or not str(request.get("save_label", "")).lower() == "true":
        return options.save_as
    return "final" if request.get("label_tag") == "final" else "original"
