"""Saving results on the host's own folder datastore: what a person did is never taken away."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.lib.state import State
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

GRID = (8, 8, 8)


@pytest.fixture
def datastore(tmp_path):
    """A folder with one study, that the host does not watch."""
    from apps.iris_app.datastores.whole_folder import WholeFolder

    image = nib.Nifti1Image(np.arange(512, dtype=np.float32).reshape(GRID), np.eye(4))
    nib.save(image, tmp_path / "case_1.nii.gz")
    return WholeFolder(str(tmp_path), auto_reload=False)


@pytest.fixture
def originals(datastore, tmp_path):
    from apps.iris_app.lib.originals import Originals

    return Originals(State(tmp_path / ".iris"), datastore)


def result(tmp_path, key: str, found: bool = True):
    from apps.iris_app.computing.result_store import ResultStore

    array = np.random.default_rng(len(key)).integers(0, 2, GRID).astype(np.uint8)
    record = {
        "classes": [],
        "label_info": [{"name": "a", "idx": 1}] if found else [],
        "label_names": {},
        "references_used": {},
    }
    return ResultStore(State(tmp_path / ".iris")).put(
        "case_1", key, LabelVolume(array, np.eye(4), {1: "a"}), record
    )


@pytest.mark.parametrize(
    ("left", "again"), [("nothing", True), ("half", True), ("old", True), ("edited", False)]
)
def test_after_a_crash_while_saving_only_what_we_wrote_is_written_again(originals, tmp_path, left, again):
    first, second = result(tmp_path, "one"), result(tmp_path, "two_")
    assert originals.publish(first)
    file = tmp_path / "labels/original/case_1.nii.gz"
    originals._note(second, "pending")  # and then the server was killed
    whole = second.path.read_bytes()
    found = {"nothing": b"", "half": whole[: len(whole) // 2], "old": first.path.read_bytes()}
    file.write_bytes(found.get(left, b"mine"))
    assert originals.publish(second) == again
    assert (file.read_bytes() == whole) == again


@pytest.mark.parametrize("tag", ["final", "original"])
def test_a_label_that_the_host_has_not_listed_yet_is_not_overwritten(originals, tmp_path, tag):
    file = tmp_path / "labels" / tag / "case_1.nii.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"mine")
    with pytest.raises(InputError, match="never overwritten"):
        originals.save(result(tmp_path, "one"), tag)
    assert not originals.publish(result(tmp_path, "one"))
    assert file.read_bytes() == b"mine"


def test_an_empty_result_is_never_final(originals, tmp_path):
    with pytest.raises(InputError, match="empty"):
        originals.save(result(tmp_path, "one", found=False), "final")
    assert not (tmp_path / "labels/final/case_1.nii.gz").exists()


def test_a_result_that_the_datastore_refuses_is_told_as_a_warning(datastore, tmp_path, monkeypatch):
    from apps.iris_app.lib.service import Service

    def refuse(*args):
        raise ConnectionError("409 Conflict")

    monkeypatch.setattr(datastore, "save_label", refuse)
    service = Service(State(tmp_path / ".iris"), datastore, tmp_path, None, True)
    assert "409 Conflict" in service.save(result(tmp_path, "one"), "final")


def test_a_subprocess_reads_the_catalogue_of_the_server_and_numbers_no_class(datastore, tmp_path):
    from apps.iris_app.catalogue.catalogue import Catalogue
    from apps.iris_app.datastores.datastore_view import studies_of
    from apps.iris_app.lib.service import Service

    state = State(tmp_path / ".iris")
    subprocess = Service(state, datastore, tmp_path, None, True)
    subprocess.refresh()
    assert not state.catalogue.exists()
    server = Catalogue(state, tmp_path)
    server.name_classes({1: "spleen"})
    server.refresh(studies_of(datastore))
    subprocess.refresh()
    assert subprocess.catalogue.studies == server.studies
