"""Large labels are read in a process of their own, with the same result and the same errors."""

from __future__ import annotations

import os
import pickle
import signal

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.catalogue.drawn import read_drawn
from apps.iris_app.catalogue.study import FinalLabel
from apps.iris_app.reading import label_reader
from apps.iris_app.reading.label_reader import LabelReader
from iris_core.errors import InputError, PassingError


@pytest.fixture
def reader(monkeypatch):
    monkeypatch.setattr(label_reader, "SMALL", 0)  # nothing is small
    reader = LabelReader()
    yield reader
    if reader._process is not None:
        reader._end()


def label(path, value: int) -> FinalLabel:
    nib.save(nib.Nifti1Image(np.full((3, 4, 5), value, np.uint8), np.eye(4)), path)
    return FinalLabel(path, "stamp", {value: "liver"})


def test_a_label_reads_alike_here_and_there_and_so_does_one_that_cannot_be_read(reader, tmp_path):
    final = label(tmp_path / "one.nii.gz", 3)
    assert reader.read(final, None) == read_drawn(final, None)
    broken = tmp_path / "two.nii.gz"
    broken.write_bytes(b"no label")
    errors = []
    for read in (reader.read, read_drawn):
        with pytest.raises(InputError) as error:
            read(FinalLabel(broken, "stamp"), None)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]
    assert reader.read(label(tmp_path / "three.nii.gz", 5), None).values[0][:2] == (5, "liver")


def test_a_reader_that_dies_is_a_passing_fault_and_the_next_label_is_read(reader, tmp_path):
    final = label(tmp_path / "one.nii.gz", 3)
    reader.read(final, None)
    os.kill(reader._process.pid, signal.SIGKILL)
    reader._process.wait()
    reader._process.poll = lambda: None  # as if nobody had noticed yet
    with pytest.raises(PassingError):
        reader.read(final, None)
    assert reader.read(final, None).values


def test_a_reader_that_rests_gives_its_memory_back(reader, tmp_path, monkeypatch):
    final = label(tmp_path / "one.nii.gz", 3)
    reader.read(final, None)
    reader.rest()
    assert reader._process is not None
    monkeypatch.setattr(label_reader, "REST", -1.0)
    reader.rest()
    assert reader._process is None and reader.read(final, None).values


@pytest.mark.parametrize("kind", [InputError, PassingError])
def test_an_error_comes_through_a_pipe_as_it_went_in(kind):
    error = kind("cannot be read", where="x.nii.gz", expected="a label", found="nothing", remedy="draw it")
    came = pickle.loads(pickle.dumps(error))
    assert type(came) is kind and str(came) == str(error) and came.__dict__ == error.__dict__
