"""Laws of NIfTI headers: lengths in any unit, two forms that disagree, no form, and what results keep."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label, write_label
from iris_core.volume_io.nifti.nifti_header import FIELDS
from tests.nifti_files import METRES, MICROMETRES, MILLIMETRES, NOT_STATED, Header, write_nifti
from tests.stub_engine import StubEngine, label_array, write_study

SHAPE = (7, 8, 9)
PLACE = np.eye(4)
PLACE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag([-0.7, 1.3, 2.9])
PLACE[:3, 3] = [-101.25, 22.125, 3.5]
ELSEWHERE = np.diag([0.7, 1.3, 2.9, 1.0])
ELSEWHERE[:3, 3] = [-76, 22, 3]
SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"]


def numbers() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, SHAPE)


def block() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 2:7, 3:8] = 1
    return mask


def query(folder: Path, want: Header) -> Path:
    return write_nifti(folder / "query.nii", numbers(), want)


def result_of(image: Volume, path: Path) -> Path:
    write_label(LabelVolume(block(), image.affine, placement=image.placement), path)
    return path


def stored(path: Path) -> dict[str, list]:
    header = nib.load(path).header
    return {name: np.array(header[name]).tolist() for name in FIELDS} | {
        "pixdim": header["pixdim"][:4].tolist()
    }


def center_in_itk(path: Path, mask: np.ndarray) -> np.ndarray:
    image = sitk.ReadImage(str(path))
    return np.array(image.TransformContinuousIndexToPhysicalPoint(np.argwhere(mask).mean(axis=0)))


DISAGREEING = Header(PLACE, 2, ELSEWHERE, 1)
ODD = {
    "metres": Header(PLACE, 1, PLACE, 1, unit=METRES),
    "micrometres": Header(PLACE, 1, PLACE, 1, unit=MICROMETRES),
    "no unit": Header(PLACE, 1, unit=NOT_STATED),
    "metres in a qform alone": Header(None, 0, PLACE, 1, unit=METRES),
    "forms disagree, sform code 2": DISAGREEING,
    "forms disagree, sform code 1": Header(PLACE, 1, ELSEWHERE, 1),
    "forms disagree in metres": Header(PLACE, 4, ELSEWHERE, 2, unit=METRES),
    "no form": Header(None, 0, None, 0, sizes=(0.7, 1.3, 2.9)),
    "no form, in metres": Header(None, 0, None, 0, sizes=(0.7, 1.3, 2.9), unit=METRES),
    "sizes that contradict the sform": Header(PLACE, 1, sizes=(1.0, 1.0, 1.0)),
    "negative sizes": Header(PLACE, 1, PLACE, 1, sizes=(-0.7, 1.3, 2.9)),
    "a size of zero": Header(PLACE, 1, PLACE, 1, sizes=(0.7, 0.0, 2.9)),
    "codes 3 and 4": Header(PLACE, 3, PLACE, 4),
}


@pytest.mark.parametrize(("unit", "name"), [(METRES, "metres"), (MICROMETRES, "micrometres")])
@pytest.mark.parametrize("forms", [(PLACE, 1, None, 0), (None, 0, PLACE, 1), (PLACE, 2, PLACE, 1)])
def test_an_image_in_another_unit_is_read_in_mm(tmp_path, unit, name, forms):
    volume = read_image(query(tmp_path, Header(*forms, unit=unit)))
    assert np.allclose(volume.affine, PLACE, atol=1e-3)
    assert volume.spacing == pytest.approx((0.7, 1.3, 2.9), rel=1e-5)


@pytest.mark.parametrize("want", ODD.values(), ids=ODD)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_result_keeps_every_number_that_places_its_query(tmp_path, want, suffix):
    path = query(tmp_path, want)
    result = result_of(read_image(path), tmp_path / f"result{suffix}")
    assert stored(result) == stored(path)
    assert np.array_equal(nib.load(result).dataobj, block())


@pytest.mark.parametrize("want", ODD.values(), ids=ODD)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_itk_sees_the_result_on_the_query(tmp_path, want, suffix):
    path = query(tmp_path, want)
    result = result_of(read_image(path), tmp_path / f"result{suffix}")
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(result))).T
    off = center_in_itk(result, seen != 0) - center_in_itk(path, block())
    assert np.abs(off).max() < 0.01


@pytest.mark.parametrize("want", ODD.values(), ids=ODD)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_read_again_is_a_label_of_its_query(tmp_path, want, suffix):
    image = read_image(query(tmp_path, want))
    again = fit_label(read_label(result_of(image, tmp_path / f"result{suffix}")), image)
    assert np.array_equal(again.array, block())
    result_of(image, tmp_path / "second.nii")
    assert stored(tmp_path / "second.nii") == stored(tmp_path / "query.nii")


@pytest.mark.parametrize("want", ODD.values(), ids=ODD)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_label_that_an_itk_tool_drew_is_a_label_of_the_image(tmp_path, want, suffix):
    path = query(tmp_path, want)
    label = sitk.GetImageFromArray(block().T)
    label.CopyInformation(sitk.ReadImage(str(path)))
    sitk.WriteImage(label, str(tmp_path / f"drawn{suffix}"))
    fitted = fit_label(read_label(tmp_path / f"drawn{suffix}"), read_image(path))
    assert np.array_equal(fitted.array, block())


def test_a_cropped_label_of_an_itk_tool_lands_where_that_tool_showed_the_image(tmp_path):
    shifted = PLACE @ np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # by one whole voxel
    path = query(tmp_path, Header(PLACE, 2, shifted, 1))
    label = sitk.GetImageFromArray(block().T)
    label.CopyInformation(sitk.ReadImage(str(path)))
    sitk.WriteImage(label[1:5, 2:8, 2:9], str(tmp_path / "part.nrrd"))
    fitted = fit_label(read_label(tmp_path / "part.nrrd"), read_image(path))
    assert np.array_equal(fitted.array, block())


@pytest.mark.parametrize("unit", [METRES, MICROMETRES])
def test_a_label_that_kept_the_numbers_and_lost_the_unit_is_a_label_of_the_image(tmp_path, unit):
    path = query(tmp_path, Header(PLACE, 1, PLACE, 1, unit=unit))
    nib.save(nib.Nifti1Image(block(), nib.load(path).affine), tmp_path / "label.nii.gz")
    assert nib.load(tmp_path / "label.nii.gz").header.get_xyzt_units()[0] == "unknown"
    fitted = fit_label(read_label(tmp_path / "label.nii.gz"), read_image(path))
    assert np.array_equal(fitted.array, block())


def test_an_unknown_unit_counts_as_mm_and_is_warned_of(tmp_path, caplog):
    path = query(tmp_path, Header(PLACE, 1, PLACE, 1))
    raw = bytearray(path.read_bytes())
    raw[123] = 5  # xyzt_units
    path.write_bytes(raw)
    assert np.allclose(read_image(path).affine, PLACE, atol=1e-4)
    assert "unit of length is unknown" in caplog.text


def test_a_label_at_neither_place_is_refused(tmp_path):
    lost = PLACE.copy()
    lost[0, 3] += 30
    label = read_label(write_nifti(tmp_path / "label.nii", block(), Header(lost, 1)))
    with pytest.raises(InputError, match="grid is not the image's"):
        fit_label(label, read_image(query(tmp_path, DISAGREEING)))


def test_forms_that_disagree_are_warned_of_once_with_both_named(tmp_path, caplog):
    for _ in range(2):
        read_image(query(tmp_path, DISAGREEING))
    assert len(caplog.records) == 1
    said = caplog.text
    assert "query.nii: sform (code 2) and qform (code 1)" in said and "mm apart" in said
    assert "nibabel read the sform" in said and "the qform; its result keeps both" in said


def test_forms_closer_than_half_a_voxel_are_no_reason_to_warn(tmp_path, caplog):
    near = PLACE.copy()
    near[:3, 3] += 0.2
    result = result_of(read_image(query(tmp_path, Header(PLACE, 2, near, 1))), tmp_path / "result.nii")
    assert not caplog.records
    assert stored(result) == stored(tmp_path / "query.nii")


def test_a_header_without_a_form_is_warned_of_once(tmp_path, caplog):
    for _ in range(2):
        read_image(query(tmp_path, ODD["no form"]))
    assert caplog.text.count("query.nii: has neither sform nor qform") == 1


def test_a_label_taken_at_another_form_is_mentioned(tmp_path, caplog):
    path = query(tmp_path, DISAGREEING)
    drawn = write_nifti(tmp_path / "drawn.nii", block(), Header(ELSEWHERE, 1, ELSEWHERE, 1))
    fit_label(read_label(drawn), read_image(path))
    assert "drawn.nii: lies on the image as" in caplog.text


@pytest.mark.parametrize("size", [0.001, 1000.0])
@pytest.mark.parametrize("unit", [NOT_STATED, MILLIMETRES])
def test_voxel_sizes_of_another_unit_are_refused_where_the_header_does_not_state_it(tmp_path, size, unit):
    form = np.diag([size, size, size, 1.0])
    with pytest.raises(InputError, match=r"query.nii: the voxel sizes are not those of a body.*xyzt_units"):
        read_image(query(tmp_path, Header(form, 1, unit=unit)))
    sitk.WriteImage(sitk.GetImageFromArray(numbers().astype(np.int16)), str(tmp_path / "query.mha"))
    text = (
        (tmp_path / "query.mha")
        .read_bytes()
        .replace(b"Spacing = 1 1 1", f"Spacing = {size} {size} {size}".encode())
    )
    (tmp_path / "query.mha").write_bytes(text)
    with pytest.raises(InputError, match=r"query.mha: the voxel sizes are not those of a body"):
        read_image(tmp_path / "query.mha")


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0])
def test_a_form_that_places_nothing_is_refused(tmp_path, broken):
    form = PLACE.copy()
    form[:3, 0] = broken
    with pytest.raises(InputError, match=r"query.nii.*does not place the voxels"):
        read_image(query(tmp_path, Header(form, 1, sizes=(1.0, 1.0, 1.0))))


def test_a_qform_that_is_no_rotation_does_not_disturb_a_sound_sform(tmp_path):
    path = query(tmp_path, Header(PLACE, 1, PLACE, 1))
    raw = bytearray(path.read_bytes())
    raw[256:268] = np.array([0.9, 0.9, 0.9], "<f4").tobytes()  # quatern_b, c, d
    path.write_bytes(raw)
    image = read_image(path)
    assert np.allclose(image.affine, PLACE, atol=1e-4)
    assert stored(result_of(image, tmp_path / "result.nii")) == stored(path)


def test_a_cropped_or_turned_label_does_not_borrow_the_querys_header(tmp_path):
    image = read_image(query(tmp_path, DISAGREEING))
    moved = image.affine.copy()
    moved[0, 3] += 5
    write_label(LabelVolume(block(), moved, placement=image.placement), tmp_path / "moved.nii")
    assert np.allclose(nib.load(tmp_path / "moved.nii").affine, moved, atol=1e-4)
    write_label(LabelVolume(block()[:-1], image.affine, placement=image.placement), tmp_path / "cut.nii")
    assert int(nib.load(tmp_path / "cut.nii").header["sform_code"]) == 1


@pytest.mark.parametrize("name", ["pair.hdr", "pair.img"])
def test_a_nifti_pair_is_read_by_either_of_its_files(tmp_path, name):
    nib.save(nib.Nifti1Pair(numbers().astype(np.int16), PLACE), tmp_path / "pair.img")
    volume = read_image(tmp_path / name)
    assert np.array_equal(volume.array, numbers()) and np.allclose(volume.affine, PLACE, atol=1e-4)


def test_analyze_is_refused_since_it_states_no_orientation(tmp_path):
    nib.save(
        nib.Spm99AnalyzeImage(numbers().astype(np.int16), np.diag([0.7, 1.3, 2.9, 1])), tmp_path / "old.img"
    )
    (tmp_path / "old.mat").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"old.img: is no NIfTI file.*left and right.*convert"):
        read_image(tmp_path / "old.img")


def test_an_nrrd_without_a_space_is_warned_of(tmp_path, caplog):
    sitk.WriteImage(sitk.GetImageFromArray(numbers().astype(np.int16)), str(tmp_path / "image.nrrd"))
    read_image(tmp_path / "image.nrrd")
    assert not caplog.records
    text = (tmp_path / "image.nrrd").read_bytes()
    text = text.replace(b"space: left-posterior-superior\n", b"space dimension: 3\n")
    (tmp_path / "image.nrrd").write_bytes(text)
    read_image(tmp_path / "image.nrrd")
    assert "image.nrrd: states no anatomical space" in caplog.text


@pytest.mark.parametrize(
    "want", [ODD["metres"], DISAGREEING, ODD["no form"]], ids=["metres", "forms", "no form"]
)
def test_iris_segment_keeps_the_querys_header(tmp_path, monkeypatch, capsys, caplog, want):
    monkeypatch.setattr(engine, "Engine", StubEngine)
    image, label = write_study(tmp_path, "reference")
    array = nib.load(image).get_fdata()
    path = write_nifti(tmp_path / "query.nii", np.rint(array).clip(0), replace(want, dtype="<i2"))
    words = [
        "--query",
        str(path),
        "--output",
        str(tmp_path / "result.nii"),
        "--report",
        str(tmp_path / "run.json"),
    ]
    assert main(["segment", "--reference", str(image), str(label), *words]) == 0
    assert stored(tmp_path / "result.nii") == stored(path)
    assert np.array_equal(nib.load(tmp_path / "result.nii").dataobj, label_array())
    warned = json.loads((tmp_path / "run.json").read_text())["warnings"]
    assert [text.split(":")[0] for text in warned] == ([] if want is ODD["metres"] else [str(path)])


@pytest.mark.parametrize("unit", ["cm", "um", "m"])
@pytest.mark.parametrize("kind", ["image.nrrd", "image.mha", "image.seg.nrrd", "image.mhd"])
def test_nrrd_and_metaimage_in_another_unit_are_refused(tmp_path, kind, unit):
    path = with_header_line(tmp_path / kind, unit)
    for read in (read_image, read_label):
        with pytest.raises(InputError, match=f"{kind}: states lengths in another unit than mm.*found {unit}"):
            read(path)
    assert read_label(with_header_line(tmp_path / kind, "mm")).shape == SHAPE[::-1]


def with_header_line(path: Path, unit: str) -> Path:
    """A file whose header states a unit of length."""
    sitk.WriteImage(sitk.GetImageFromArray(block()), str(path))
    data = path.read_bytes()
    if "nrrd" in path.name:
        field = f'space units: "{unit}" "{unit}" "{unit}"\n'.encode()
        data = data.replace(b"\nkinds:", b"\n" + field + b"kinds:", 1)
    else:
        data = data.replace(b"NDims", f"DistanceUnits = {unit}\nNDims".encode(), 1)
    path.write_bytes(data)
    return path


def test_a_metaimage_without_voxel_size_or_orientation_is_warned_of_once(tmp_path, caplog):
    sitk.WriteImage(sitk.GetImageFromArray(numbers().astype(np.int16)), str(tmp_path / "image.mha"))
    read_image(tmp_path / "image.mha")
    assert not caplog.records
    lines = (tmp_path / "image.mha").read_bytes().split(b"\n")
    kept = [line for line in lines if not line.startswith((b"ElementSpacing", b"TransformMatrix"))]
    (tmp_path / "image.mha").write_bytes(b"\n".join(kept))
    for _ in range(2):
        read_image(tmp_path / "image.mha")
    assert caplog.text.count("image.mha: states no voxel size and no orientation") == 1


@pytest.mark.parametrize("name", ["image.mgz", "image.mgh"])
def test_freesurfers_volume_without_a_place_is_warned_of_once(tmp_path, caplog, name):
    import gzip

    nib.save(nib.MGHImage(numbers().astype(np.int32), PLACE), tmp_path / name)
    read_image(tmp_path / name)
    assert not caplog.records
    data = (tmp_path / name).read_bytes()
    data = gzip.decompress(data) if name.endswith("z") else data
    data = data[:28] + b"\0\0" + data[30:]
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("z") else data)
    for _ in range(2):
        read_image(tmp_path / name)
    assert caplog.text.count(f"{name}: states no place of its voxels") == 1
