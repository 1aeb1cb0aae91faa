"""Our folder datastore under several threads: each finds every study that is there."""

from __future__ import annotations

import inspect
import itertools
import shutil
import sys
import threading
import time

import nibabel as nib
import numpy as np
import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

IMAGE = nib.Nifti1Image(np.zeros((24, 24, 24), np.uint8), np.eye(4))


def test_whoever_asks_while_studies_come_and_labels_go_finds_every_study_that_was_there(
    tmp_path,
):
    """The host empties its list and fills it again while it looks at the folder."""
    from apps.iris_app.datastores.whole_folder import WholeFolder

    label = tmp_path / "label.nii.gz"
    nib.save(IMAGE, label)
    root = tmp_path / "studies"
    there = {f"case_{number}" for number in range(1, 41)}
    root.mkdir()
    for study in there:
        shutil.copy(label, root / f"{study}.nii.gz")
    store = WholeFolder(str(root), auto_reload=False)
    ends, faults = threading.Event(), []

    def watched(work) -> None:
        try:
            for turn in itertools.count():
                if ends.is_set():
                    return
                work(turn)
        except BaseException as fault:
            faults.append(fault)

    def ask(_: int) -> None:
        assert there <= set(store.list_images())
        assert there <= set(store.json()["objects"])
        assert store.status()["total"] >= len(there)
        assert set(store.get_unlabeled_images()) >= there - {"case_1"}

    def note(turn: int) -> None:
        store.update_image_info("case_2", {"turn": str(turn)})

    def come_and_go(turn: int) -> None:
        passing = root / f"passing_{turn}.nii.gz"
        shutil.copy(label, passing)
        store.refresh()
        passing.unlink()
        store.refresh()

    works = (ask, come_and_go, note, lambda _: store.save_label("case_1", str(label), "final", {}))
    threads = [threading.Thread(target=watched, args=[work]) for work in works]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads change places where they otherwise rarely do
    try:
        for thread in threads:
            thread.start()
        time.sleep(4)
        ends.set()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not faults, faults
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("what", ["a study comes", "the index is changed"])
def test_a_fault_while_a_change_is_handled_does_not_end_the_watch(tmp_path, monkeypatch, what):
    from apps.iris_app.datastores.whole_folder import WholeFolder

    store = WholeFolder(str(tmp_path), auto_reload=True)
    tried = threading.Event()

    def fails(self, *_) -> int:
        tried.set()
        raise FileNotFoundError("a folder that goes while it is read")

    with monkeypatch.context() as patched:
        patched.setattr(WholeFolder, "_init_from_datastore_file", fails)
        if what == "a study comes":
            nib.save(IMAGE, tmp_path / "one.nii.gz")
        else:
            (tmp_path / "datastore_v2.json").write_text("{}")
        assert tried.wait(20)
        time.sleep(0.2)
    (tmp_path / "datastore_v2.json").unlink(missing_ok=True)
    for name in ("one", "two"):
        nib.save(IMAGE, tmp_path / f"{name}.nii.gz")
    end = time.monotonic() + 20
    while set(store.list_images()) != {"one", "two"} and time.monotonic() < end:
        time.sleep(0.1)
    assert set(store.list_images()) == {"one", "two"}
    store._observer.stop()


def test_no_method_of_the_host_reads_its_list_of_studies_unguarded():
    from monailabel.datastore.local import LocalDatastore

    from apps.iris_app.datastores.whole_folder import LISTING, WholeFolder

    own = {name for name in vars(WholeFolder) if name not in LISTING}
    harmless = {"__init__", "get_dataset_archive", "name", "description", "remove_image"}
    harmless |= {"_add_non_existing_images", "_remove_non_existing"}  # parts of _reconcile_datastore
    touching = {
        name for name, method in vars(LocalDatastore).items()
        if inspect.isfunction(method) and "self._datastore." in inspect.getsource(method)
    }  # fmt: skip
    assert touching <= set(LISTING) | own | harmless
