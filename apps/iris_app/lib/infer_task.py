"""InContextTask: the host's infer task. It reads options, finds or orders a result, and writes the answer.

A request has three parts: `asked` reads it, then a result is found or waited for, and `answer` writes it. The
host calls all three at once; our own route calls them one by one, since many may wait at the same time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from apps.iris_app.answers.withholding import shown
from apps.iris_app.computing.result_store import Result
from apps.iris_app.computing.worker_client import WorkerLost
from apps.iris_app.datastores.datastore_view import FINAL, ORIGINAL
from apps.iris_app.door.faults import detail_of
from apps.iris_app.lib.options import WITHHOLD_BELOW, Options, config
from apps.iris_app.lib.reply import check_format, write_reply
from apps.iris_app.lib.service import Service
from apps.iris_app.waiting.order import LeftQueue
from iris_core.errors import InputError, IrisError, PassingError

log = logging.getLogger(__name__)

MODEL = "in_context"
LATE = "a label is still being read, and this answer does not count it; ask again later"


@dataclass(frozen=True)
class Asked:
    """A request that can be answered.

    Args:
        study: id of the study.
        options: what is asked of it.
        tag: under which the result is saved, "no" for not at all.
        late: a label is being read for so long that the answer does not count it.
    """

    study: str
    options: Options
    tag: str
    late: bool = False


class InContextTask(InferTask):
    """Segments a study with the final labels of the others as references."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            InferType.SEGMENTATION,
            labels={},
            dimension=3,
            description="In-context segmentation from labelled studies. A finished pre-label is answered at "
            "once. Otherwise the study is computed first; under `monailabel start_server` the server "
            "serves nobody else meanwhile, under `iris serve` it does. A class whose expected Dice is under "
            f"withhold_below ({WITHHOLD_BELOW:g}), or whose references are of another modality than the "
            "study, is left out of the answer; where nothing is left the answer is an error that says why.",
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
            HTTPException: 404, there is no such study; 409, the request was taken out of the queue; 422, it
                cannot be answered; 503, the worker was lost.
        """
        with told_in_http():
            self.require(request)
            self._service.refresh()
            asked = self.asked(request)
            return self.answer(request, asked, self._service.result(asked.study, asked.options))

    def require(self, request: Mapping[str, object]) -> None:
        """Makes sure that the datastore has the study, and that an archive has sent it here.

        Raises:
            HTTPException: 404, there is no such study.
        """
        study = request.get("image")
        if not isinstance(study, str) or not self._service.lists(study):
            raise HTTPException(404, f"The datastore has no study {_name(study)}; name one by its id")

    def asked(self, request: Mapping[str, object]) -> Asked:
        """What a request asks for.

        Raises:
            HTTPException: 404, the study is gone.
            InputError: an option that cannot be used.
            PassingError: the study has just come.
        """
        study = str(request["image"])
        if study not in self._service.catalogue.studies:
            if self._service.lists(study):
                raise PassingError("The study has just come; ask again", where=study)
            raise HTTPException(404, f"The datastore has no study {_name(study)} any more")
        options = Options.read(request, self._service.catalogue)
        check_format(request)
        return Asked(study, options, _tag(request, options))

    def answer(self, request: Mapping[str, object], asked: Asked, result: Result) -> tuple[str, dict]:
        """Writes the answer from the result, without the classes that are withheld; saves it where asked to.

        Raises:
            InputError: nothing is left to show, or the format cannot hold it.
        """
        result = shown(result, asked.options.withhold_below, self._service.results)
        saved = self._service.save(result, asked.tag)
        problems = self._service.catalogue.problems.items()
        warnings = [f"{name} is left out: {why}" for name, why in problems]
        warnings += [*result.record["warnings"], *([saved] if saved else []), *([LATE] if asked.late else [])]
        return write_reply(result, request), {**result.record, "warnings": warnings}


@contextlib.contextmanager
def told_in_http() -> Iterator[None]:
    """Turns our errors into the host's.

    Raises:
        HTTPException: 409, the request was taken out of the queue; 422, it cannot be answered; 503, the
            worker was lost, or another fault that may pass; 507, the disk is full.
    """
    try:
        yield
    except LeftQueue as error:
        raise HTTPException(409, str(error)) from error
    except PassingError as error:
        raise HTTPException(*detail_of(error)) from error
    except IrisError as error:
        raise HTTPException(422, str(error)) from error
    except WorkerLost as error:
        log.error("%s", error)
        raise HTTPException(503, f"The study could not be computed: {error}; try again") from error


def _tag(request: Mapping[str, object], options: Options) -> str:
    """Where the result is saved: what our option says, else the host's own save_label and label_tag."""
    save, tag = str(request.get("save_label") or "false").lower(), request.get("label_tag") or ORIGINAL
    if save not in ("true", "false"):
        raise InputError("Unusable save_label", where=save[:40], expected="true or false")
    if tag not in (ORIGINAL, FINAL):
        raise InputError("Unusable label_tag", where=str(tag)[:40], expected=f"{ORIGINAL} or {FINAL}")
    word = FINAL if tag == FINAL else ORIGINAL  # the host's batch gives a member of its enumeration
    return options.save_as if options.save_as != "no" or save == "false" else word


def _name(study: object) -> str:
    return str(study)[:80] if study else "(none named)"
