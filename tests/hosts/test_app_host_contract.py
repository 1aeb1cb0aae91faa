"""What the app relies on in MONAI Label 0.8.5; an upgrade that changes one of these is noticed here."""

from __future__ import annotations

import inspect
import json

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]


def test_the_app_class_is_the_one_whose_direct_base_is_named_monailabelapp():
    from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

    from apps.iris_app import main

    found = get_class_of_subclass_from_file("main", main.__file__, "MONAILabelApp")
    assert found is main.IrisApp


def test_modules_of_the_app_survive_the_hosts_reload_of_lib():
    import sys

    from monailabel.utils.others.class_utils import unload_module

    import apps.iris_app.lib.state as state

    unload_module("lib")
    assert sys.modules["apps.iris_app.lib.state"] is state


def test_the_infer_route_blocks_the_event_loop_and_its_function_can_be_called_from_a_thread():
    from monailabel.endpoints import infer

    assert inspect.iscoroutinefunction(infer.api_run_inference)
    assert not inspect.iscoroutinefunction(infer.run_inference)
    expected = ["background_tasks", "model", "image", "session_id", "params", "file", "label", "output"]
    assert list(inspect.signature(infer.run_inference).parameters) == expected


def test_the_function_that_saves_a_label_can_be_called_from_a_thread():
    from monailabel.endpoints import datastore

    assert inspect.iscoroutinefunction(datastore.api_save_label)
    assert not inspect.iscoroutinefunction(datastore.save_label)
    expected = ["background_tasks", "image", "params", "tag", "label", "user"]
    assert list(inspect.signature(datastore.save_label).parameters) == expected


def test_every_opened_file_below_the_studies_folder_is_an_event_for_the_host():
    """So a job that has nothing to do opens none."""
    from monailabel.datastore.local import LocalDatastore

    source = inspect.getsource(LocalDatastore.__init__)
    assert "schedule(self._handler, recursive=True, path=self._datastore_path)" in source


def test_the_server_can_be_given_another_asgi_application():
    from monailabel.main import Main

    parser = Main().args_parser()
    assert parser.parse_args(["start_server", "--uvicorn_app", "a:b"]).uvicorn_app == "a:b"


def test_a_batch_spreads_over_gpus_unless_it_is_told_not_to():
    from monailabel.interfaces.tasks.batch_infer import BatchInferTask

    class Datastore:
        def list_images(self):
            return ["case"]

    with pytest.raises((ZeroDivisionError, IndexError)):
        BatchInferTask()({"gpus": "all", "device": "cpu"}, Datastore(), lambda *a: {})


def test_segments_are_described_by_position_among_the_values_that_are_present():
    """So label_info must list just those, ascending."""
    from monailabel.datastore.utils import convert

    source = inspect.getsource(convert.nifti_to_dicom_seg)
    assert "for i, idx in enumerate(unique_labels)" in source and "label_info[i]" in source


def test_a_folder_datastore_gives_names_only_where_they_were_submitted(tmp_path):
    import nibabel as nib
    import numpy as np
    from monailabel.datastore.local import LocalDatastore

    from apps.iris_app.datastores.datastore_view import studies_of

    for name in ("one", "two"):
        nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "labels" / "final").mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "labels/final/one.nii.gz")
    datastore = LocalDatastore(str(tmp_path))
    label = str(tmp_path / "labels/final/one.nii.gz")
    datastore.save_label("two", label, "final", {"label_info": [{"name": "liver", "idx": 1}]})

    studies = {study.id: study for study in studies_of(datastore)}

    assert studies["one"].final.names == {} and studies["two"].final.names == {1: "liver"}
    index = json.loads((tmp_path / "datastore_v2.json").read_text())
    assert set(index["objects"]) == {"one", "two"}


def test_a_label_that_is_overwritten_is_no_event_for_the_host(tmp_path):
    """So the service looks at the files itself."""
    from monailabel.datastore.local import LocalDatastore

    source = inspect.getsource(LocalDatastore._on_modify_event)
    assert "_datastore_config_path" in source
