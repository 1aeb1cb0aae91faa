"""Laws of a DICOM folder: one even series becomes one volume in its place; anything else is told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from iris_core.errors import InputError
from iris_core.volume_io import list_cases, read_image, read_label

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag(
    [-0.75, -1.25, 2.5]
)
OBLIQUE[:3, 3] = [-101.25, 22.125, 3.5]


def numbers(slices: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (8, 9, slices)).astype(np.int16)


def save_series(
    folder: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE, series: int = 1, name="T1", modality="MR"
) -> None:
    """One file a slice, LPS positions written by hand, file names in another order than the slices."""
    import SimpleITK as sitk

    folder.mkdir(exist_ok=True)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(array.shape[2]):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array[:, :, k].T))
        image.SetSpacing(spacing[:2].tolist())
        tags = {
            "0008|0060": modality, "0008|103e": name, "0020|000d": "1.2.3", "0020|000e": f"1.2.3.{series}",
            "0008|0018": f"1.2.3.{series}.{k + 1}", "0020|0013": str(k), "0018|0050": f"{spacing[2]:g}",
            "0020|0037": "\\".join(f"{part:.10g}" for part in (lps[:3, :2] / spacing[:2]).T.ravel()),
            "0020|0032": "\\".join(f"{part:.10g}" for part in (lps @ [0, 0, k, 1])[:3]),
        }  # fmt: skip
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{series}{k * 7 % array.shape[2]:03d}.dcm"))
        writer.Execute(image)


@pytest.mark.parametrize("backwards", [False, True])
def test_slices_are_stacked_by_position_whatever_their_names_and_numbers(tmp_path, backwards):
    affine = OBLIQUE @ np.diag([1, 1, -1 if backwards else 1, 1])
    save_series(tmp_path / "study", numbers(), affine)
    volume = read_image(tmp_path / "study")
    order = slice(None, None, -1) if backwards else slice(None)
    assert np.array_equal(volume.array, numbers()[:, :, order])
    corner = affine @ [3, 5, 9 if backwards else 0, 1]
    assert np.allclose(volume.affine @ [3, 5, 0, 1], corner, atol=1e-5)
    assert volume.spacing == pytest.approx((0.75, 1.25, 2.5), abs=1e-5)


def test_several_series_in_a_folder_are_named_and_refused(tmp_path):
    save_series(tmp_path / "study", numbers())
    save_series(tmp_path / "study", numbers(5), series=2, name="T2 axial")
    with pytest.raises(InputError, match=r"several DICOM series.*T1 \(10 files.*T2 axial \(5 files"):
        read_image(tmp_path / "study")


def test_a_segmentation_object_beside_the_series_is_passed_over(tmp_path):
    save_series(tmp_path / "study", numbers())
    save_series(tmp_path / "study", numbers(1), series=2, modality="SEG")
    assert read_image(tmp_path / "study").shape == (8, 9, 10)


def test_a_missing_slice_is_noticed(tmp_path):
    save_series(tmp_path / "study", numbers())
    (tmp_path / "study" / "1004.dcm").unlink()
    with pytest.raises(InputError, match="slices are missing"):
        read_image(tmp_path / "study")


def test_a_tilted_gantry_is_noticed(tmp_path):
    tilted = OBLIQUE.copy()
    tilted[:3, 2] += tilted[:3, 1] * 0.5
    save_series(tmp_path / "study", numbers(), tilted)
    with pytest.raises(InputError, match="tilted"):
        read_image(tmp_path / "study")


def test_a_single_slice_and_a_folder_without_images_are_refused(tmp_path):
    save_series(tmp_path / "slice", numbers(1))
    with pytest.raises(InputError, match="2D image"):
        read_image(tmp_path / "slice")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no DICOM image series"):
        read_image(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder"):
        read_label(tmp_path / "slice")


def test_series_folders_are_cases_and_so_is_a_folder_that_is_a_series(tmp_path):
    save_series(tmp_path / "patient_0001", numbers(3))
    save_series(tmp_path / "patient_0002", numbers(3))
    (tmp_path / "notes").mkdir()
    assert [case.name for case in list_cases(tmp_path)] == ["patient_0001", "patient_0002"]
    assert [case.name for case in list_cases(tmp_path / "patient_0002")] == ["patient_0002"]
