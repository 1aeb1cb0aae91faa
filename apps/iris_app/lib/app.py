"""IrisApp: what MONAI Label sees. It turns the host's calls into calls of the service."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore

from apps.iris_app.catalogue.study import names_from_info
from apps.iris_app.lib.batch import CpuBatchInfer
from apps.iris_app.lib.infer_task import MODEL, InContextTask
from apps.iris_app.lib.service import Service
from apps.iris_app.lib.state import State, read_json
from apps.iris_app.lib.strategies import FirstStudy, NextStudy, RandomStudy
from apps.iris_app.lib.training import InContextTuning
from apps.iris_app.prelabels.job_control import want

log = logging.getLogger(__name__)


class IrisApp(MONAILabelApp):
    """In-context segmentation: the datastore's final labels are the references.

    Args:
        app_dir: where the host keeps its logs.
        studies: a folder, or a DICOMweb URL.
        conf: `checkpoint` names other weights, `originals` = "false" keeps pre-labels to ourselves.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        checkpoint = conf.get("checkpoint")
        self._settings: dict[str, Any] = {
            "checkpoint": Path(checkpoint) if checkpoint else None,
            "originals": conf.get("originals", "true").lower() != "false",
        }
        super().__init__(
            app_dir, studies, conf, name="Iris",
            description="In-context segmentation: label one study, find the others pre-labelled",
        )  # fmt: skip

    def init_datastore(self) -> Datastore:
        """The host's datastore, and the service on top of it."""
        state = State.of_datastore(self.studies)
        folder = None if self.studies.startswith(("http://", "https://")) else Path(self.studies)
        datastore = self._archive(state) if folder is None else self._folder(state)
        self.service = Service(state, datastore, folder, **self._settings)
        return datastore

    def _archive(self, state: State) -> Datastore:
        datastore = super().init_datastore()
        if isinstance(datastore, DICOMWebDatastore):
            from apps.iris_app.datastores.dicom_datastore import NamedDicomDatastore

            datastore = NamedDicomDatastore.in_place_of(datastore, state)
        return datastore

    def _folder(self, state: State) -> Datastore:
        from apps.iris_app.datastores.read_only_folder import home_of_labels
        from apps.iris_app.datastores.whole_folder import WholeFolder
        from apps.iris_app.history.history import History

        studies = Path(self.studies).resolve()
        home = home_of_labels(studies, state)
        return WholeFolder(
            str(home), images=None if home == studies else studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
            remembered_info=History(state).remembered_info,
        )  # fmt: skip

    def init_infers(self) -> dict[str, InContextTask]:
        """One model, which both viewers list under automatic segmentation."""
        self.in_context = InContextTask(self.service)
        return {MODEL: self.in_context}

    def init_trainers(self) -> dict[str, InContextTuning]:
        """The training button tunes the embeddings; the network stays as it is."""
        return {MODEL: InContextTuning(self.service)}

    def init_strategies(self) -> dict[str, NextStudy | RandomStudy | FirstStudy]:
        """Which study to label next."""
        return {
            "next": NextStudy(self.service),
            "random": RandomStudy(self.service),
            "first": FirstStudy(self.service),
        }

    def init_batch_infer(self) -> CpuBatchInfer:
        """Batches that run without a GPU too."""
        return CpuBatchInfer()

    def on_init_complete(self) -> None:
        """Starts what runs beside the server."""
        super().on_init_complete()
        self.service.start()

    def info(self) -> dict:
        """The host's facts, how far the pre-labels are, and what is to be known of labels and classes."""
        catalogue = self.service.catalogue
        numbers = catalogue.register.numbers
        return super().info() | {
            "prelabels": read_json(self.service.state.progress, {"state": "none"}),
            "unusable_references": catalogue.problems,
            "label_notes": catalogue.notes,
            "colors": {name: list(catalogue.register.color(number)) for name, number in numbers.items()},
        }

    def infer(self, request: dict, datastore: Any = None) -> dict:
        """Segments a study of the datastore; no other file is ever read, whatever the request names.

        Raises:
            HTTPException: 404 for an unknown model or study, 422 for any other mistake; the detail says what.
        """
        task = self._infers.get(request.get("model"))
        if task is None:
            raise HTTPException(404, f"There is no model {request.get('model')}; use {MODEL}")
        if request.get("session"):
            raise HTTPException(422, "Sessions are not served: add the image to the datastore")
        file, params = task(request)
        return {"label": file, "tag": "original", "file": file, "params": params}

    def next_sample(self, request: dict) -> dict:
        """The study to label next; it is pre-labelled before all others.

        Raises:
            HTTPException: 422, an unknown strategy.
        """
        found = self.choose_next(request)
        if found:
            self.want(found["id"])
        return found

    def choose_next(self, request: dict) -> dict:
        """The study to label next; nothing is written, so nobody waits for a disk or a lock.

        Raises:
            HTTPException: 422, an unknown strategy.
        """
        if request.get("strategy") not in self._strategies:
            known = ", ".join(self._strategies)
            raise HTTPException(422, f"There is no strategy {request.get('strategy')}; use {known}")
        return super().next_sample(request)

    def want(self, study: str) -> None:
        """Has a study pre-labelled before all others."""
        want(self.service.state, study)

    def on_save_label(self, image_id: str, label_id: str) -> None:
        """Takes a label that a viewer has just submitted."""
        info = self.datastore().get_label_info(image_id, "final") or {}
        self.service.catalogue.name_classes(names_from_info(info.get("label_info")))
        if self.datastore().get_label_by_image_id(image_id, "final"):
            self.service.submitted(image_id)
        self.service.look()
