"""Law of place, over thousands of headers: the result lies on the query in nibabel and in ITK.

A block is drawn into a query whose header states anything that a header can state. The query is read,
prepared, thresholded, restored and written by the code under test; then nibabel and SimpleITK say where the
block lies in the query's file and where in the result's. The way back is tried too: ITK opens the query,
draws the block as a label and saves it, and the code under test brings that label onto the query.
"""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from iris_core.preprocessing.grid import restore_label_map
from iris_core.preprocessing.prepare import prepare_image
from iris_core.volume.label_grid import fit_label
from iris_core.volume.orientation import canonical_affine
from iris_core.volume.volume import LabelVolume, Volume, voxel_sizes
from iris_core.volume_io import read_image, read_label, write_label
from iris_core.volume_io.itk.images import quiet
from tests.nifti_files import Header, write_nifti

CASES = 2000
SHAPE = (9, 11, 10)
BLOCK = (slice(2, 5), slice(4, 9), slice(3, 8))  # off the middle along every axis
DTYPES = ("<i2", ">i2", "<u1", "<u2", ">i4", "<f4", ">f4", "<f8")
VALUE = 7

angles = st.floats(-180, 180, allow_nan=False)
sizes = st.floats(0.4, 6.0, allow_nan=False)


@st.composite
def affines(draw: st.DrawFn, shear: bool = True) -> np.ndarray:
    """Any axis order and direction, any turn, any voxel size; now and then a shear."""
    linear = np.eye(3)[:, draw(st.permutations(range(3)))] * draw(st.tuples(*[st.sampled_from((1, -1))] * 3))
    if draw(st.booleans()):
        linear = (
            Rotation.from_euler("xyz", draw(st.tuples(angles, angles, angles)), degrees=True).as_matrix()
            @ linear
        )
    affine = np.eye(4)
    affine[:3, :3] = linear * draw(st.tuples(sizes, sizes, sizes))
    if shear and draw(st.integers(0, 19)) == 0:
        affine[:3, 2] += draw(st.floats(-0.4, 0.4)) * affine[:3, 1]
    affine[:3, 3] = draw(st.tuples(*[st.floats(-400, 400)] * 3))
    return affine


@st.composite
def headers(draw: st.DrawFn) -> Header:
    sform_code, qform_code = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    sform = draw(affines())
    same = draw(st.booleans())
    qform = sform if same else draw(affines(shear=False))
    if not same:  # one pixdim serves both forms in all but the broken files
        qform = qform.copy()
        lengths = np.linalg.norm(sform[:3, :3], axis=0)
        qform[:3, :3] *= lengths / np.linalg.norm(qform[:3, :3], axis=0)
    return Header(
        sform=sform if sform_code else None,
        sform_code=sform_code,
        qform=qform if qform_code else None,
        qform_code=qform_code,
        unit=draw(st.integers(0, 3)),
        sizes=draw(st.one_of(*[st.none()] * 4, st.tuples(sizes, sizes, sizes), st.just((-1.5, 1.0, 2.0)))),
        dtype=draw(st.sampled_from(DTYPES)),
        slope=draw(st.sampled_from((1.0, 0.5, 2.0, -1.0))),
        inter=draw(st.sampled_from((0.0, -1000.0, 12.5))),
        second=draw(st.integers(0, 9)) == 0,
        time_axis=draw(st.integers(0, 4)) == 0,
    )


def drawn() -> np.ndarray:
    """(I, J, K) whole numbers from 1 to 120; the block is bright."""
    values = np.random.default_rng(0).integers(10, 30, SHAPE)
    values[BLOCK] += 90
    return values


def segmented(image: Volume, dark: bool) -> LabelVolume:
    """The block of a query, by a threshold in the place of the network, at the query's own voxel size."""
    own = voxel_sizes(canonical_affine(image.affine, image.shape))
    prepared = prepare_image(image, modality="mr", spacing=own)
    middle = (prepared.image.min() + prepared.image.max()) / 2
    logits = middle - prepared.image if dark else prepared.image - middle
    array = restore_label_map(logits, prepared.grid, [VALUE])
    return LabelVolume(array, image.affine, {VALUE: "block"}, placement=image.placement)


def by_nibabel(path: Path, mask: np.ndarray | None = None) -> np.ndarray:
    """The centre of a mask (by default of the file's nonzero voxels) in the file's own unit, RAS+."""
    image = nib.load(path)
    mask = np.asarray(image.dataobj) != 0 if mask is None else mask
    return nib.affines.apply_affine(image.affine, np.argwhere(mask).mean(axis=0))


def by_itk(path: Path, mask: np.ndarray | None = None) -> np.ndarray | None:
    """The same in LPS+ mm as SimpleITK reads the file; None where it refuses it."""
    try:
        with quiet():
            image = sitk.ReadImage(str(path))
    except RuntimeError:
        return None
    if mask is None:
        mask = sitk.GetArrayFromImage(image).T != 0
    center = np.argwhere(mask).mean(axis=0)
    rest = [0.0] * (image.GetDimension() - 3)
    return np.array(image.TransformContinuousIndexToPhysicalPoint([*center, *rest])[:3])


def drawn_in_itk(query: Path, mask: np.ndarray, path: Path) -> Path:
    """A mask saved as a label by ITK, over a query that ITK has opened."""
    with quiet():
        image = sitk.ReadImage(str(query))
        image = image[:, :, :, 0] if image.GetDimension() == 4 else image
        label = sitk.GetImageFromArray(mask.T.astype(np.uint8))
        label.CopyInformation(image)
        sitk.WriteImage(label, str(path))
    return path


@pytest.fixture(autouse=True)
def no_warnings():
    """Thousands of odd headers give thousands of warnings."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(header=headers(), suffix=st.sampled_from((".nii", ".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")))
def test_a_result_lies_on_its_query_in_nibabel_and_in_itk(tmp_path, header, suffix):
    truth = np.zeros(SHAPE, dtype=bool)
    truth[BLOCK] = True
    query = write_nifti(tmp_path / "query.nii", drawn(), header)
    result = tmp_path / f"result{suffix}"
    image = read_image(query)
    label = segmented(image, dark=header.slope < 0)
    assert np.array_equal(label.array == VALUE, truth)
    write_label(label, result)

    tenth = 0.1 * min(image.spacing)
    if suffix.startswith(".nii"):
        unit = min(image.spacing) / min(np.linalg.norm(nib.load(query).affine[:3, :3], axis=0))  # mm
        off = np.linalg.norm(by_nibabel(result) - by_nibabel(query, truth)) * unit
        assert off < tenth
    seen = by_itk(query, truth)
    event(f"ITK reads the query: {seen is not None}; nibabel and ITK agree: {not image.placement.others}")
    if seen is not None:
        assert np.linalg.norm(by_itk(result) - seen) < tenth
        drawn_label = drawn_in_itk(query, truth, tmp_path / f"drawn{suffix.removeprefix('.seg')}")
        assert np.array_equal(fit_label(read_label(drawn_label), image).array != 0, truth)
