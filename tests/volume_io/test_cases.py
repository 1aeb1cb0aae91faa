"""Laws of a folder: which files are cases, and what they are called."""

from __future__ import annotations

import pytest

from iris_core.errors import InputError
from iris_core.volume_io import case_name, list_cases


def test_a_folders_cases_are_named_without_channel_and_suffix(tmp_path):
    for name in ("b_0000.nii.gz", "a.nrrd", "lung_0007.mha", "c.seg.nrrd", ".hidden.nii", "notes.txt"):
        (tmp_path / name).write_text("x")
    cases = list_cases(tmp_path)
    assert [(case.name, case.path.name) for case in cases] == [
        ("a", "a.nrrd"), ("b", "b_0000.nii.gz"), ("lung_0007", "lung_0007.mha"),
    ]  # fmt: skip
    assert [case_name(case.path) for case in cases] == [case.name for case in cases]


def test_a_case_of_several_channels_is_refused_unless_one_is_chosen(tmp_path):
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"case a has several channels.*a_0000.nii.gz, a_0001.nii.gz"):
        list_cases(tmp_path)
    assert [case.path.name for case in list_cases(tmp_path, channel=1)] == ["a_0001.nii.gz", "b_0001.nii.gz"]
    with pytest.raises(InputError, match="case a"):
        list_cases(tmp_path, channel=2)


def test_two_files_of_one_name_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no image"):
        list_cases(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_cases(tmp_path / "none")
    for name in ("a.nii.gz", "a.nrrd"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"several files are called a.*a.nii.gz, a.nrrd"):
        list_cases(tmp_path)
