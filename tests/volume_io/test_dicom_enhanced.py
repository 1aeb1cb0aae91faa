"""Laws of an enhanced multi-frame file: each frame has the place and the values of its functional groups."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.volume_io import case_name, list_cases, read_image
from tests.dicom_files import (
    AXIAL,
    ENHANCED_CT,
    OBLIQUE,
    numbers,
    packed_by_itk,
    plane,
    rescaled,
    write_enhanced,
)

pytestmark = pytest.mark.dicom

SHUFFLED = (3, 0, 9, 1, 7, 5, 2, 8, 6, 4)


@pytest.mark.parametrize("affine", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize(
    "order", [None, SHUFFLED, range(9, -1, -1)], ids=["in order", "shuffled", "backwards"]
)
def test_frames_are_put_in_the_order_of_their_places(tmp_path, affine, order):
    volume = read_image(write_enhanced(tmp_path / "mr.dcm", numbers(), affine, order=order))
    assert np.array_equal(volume.array, numbers())
    assert np.allclose(volume.affine, affine, atol=1e-4)


def test_an_enhanced_file_is_read_by_name_in_its_folder_and_without_a_suffix(tmp_path):
    (tmp_path / "study").mkdir()
    file = write_enhanced(tmp_path / "study" / "mr.dcm", numbers(), AXIAL)
    assert np.array_equal(read_image(tmp_path / "study").array, numbers())
    assert [case.path for case in list_cases(tmp_path / "study")] == [tmp_path / "study"]
    assert case_name(file) == "mr"
    plain = file.rename(tmp_path / "IM0001")
    assert np.array_equal(read_image(plain).array, numbers())


def test_positions_rounded_by_the_scanner_are_even_enough(tmp_path):
    def rounded(group, number):
        position = group.PlanePositionSequence[0]
        noise = np.random.default_rng(number).uniform(-0.005, 0.005, 3)
        position.ImagePositionPatient = [
            float(f"{p:.4f}") for p in np.array(position.ImagePositionPatient) + noise
        ]

    volume = read_image(
        write_enhanced(tmp_path / "ct.dcm", numbers(), AXIAL, sop_class=ENHANCED_CT, frame=rounded)
    )
    assert np.array_equal(volume.array, numbers()) and np.allclose(volume.affine, AXIAL, atol=0.01)


def test_every_frame_has_its_own_rescaling(tmp_path):
    slopes, intercepts = np.linspace(0.5, 2, 10), np.linspace(-100, 100, 10)

    def own(group, number):
        rescaled(group, slopes[SHUFFLED[number]], intercepts[SHUFFLED[number]])

    volume = read_image(write_enhanced(tmp_path / "mr.dcm", numbers(), AXIAL, order=SHUFFLED, frame=own))
    assert np.allclose(volume.array, numbers() * slopes + intercepts, rtol=1e-5)


def test_a_shared_rescaling_counts_for_all_frames(tmp_path):
    file = write_enhanced(tmp_path / "ct.dcm", numbers(), AXIAL, shared=lambda g, _: rescaled(g, 2.0, -1024))
    assert np.array_equal(read_image(file).array, 2 * numbers().astype(np.float32) - 1024)


def test_orientation_and_pixel_sizes_may_stand_in_each_frame(tmp_path):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def own(group, _):
        measures, orientation = Dataset(), Dataset()
        (_, orientation.ImageOrientationPatient), spacing = plane(OBLIQUE, 0)
        measures.PixelSpacing = spacing[:2]
        group.PixelMeasuresSequence, group.PlaneOrientationSequence = (
            Sequence([measures]),
            Sequence([orientation]),
        )

    def emptied(group, _):
        del group.PixelMeasuresSequence, group.PlaneOrientationSequence

    file = write_enhanced(tmp_path / "mr.dcm", numbers(), OBLIQUE, shared=emptied, frame=own)
    assert np.allclose(read_image(file).affine, OBLIQUE, atol=1e-4)


def test_monochrome1_is_a_matter_of_display(tmp_path):
    file = write_enhanced(
        tmp_path / "mr.dcm", numbers(), AXIAL,
        change=lambda d, _: setattr(d, "PhotometricInterpretation", "MONOCHROME1"),
    )  # fmt: skip
    assert np.array_equal(read_image(file).array, numbers())


def test_compressed_frames_give_their_values(tmp_path):
    import pydicom
    from pydicom.encaps import encapsulate

    from tests.seg_files import save

    try:
        from pydicom.encaps import generate_frames
    except ImportError:
        from pydicom.encaps import generate_pixel_data_frame as generate_frames
    values = np.abs(numbers((32, 24, 10)))
    file = write_enhanced(tmp_path / "mr.dcm", values, AXIAL, shared=lambda g, _: rescaled(g, 0.5, 10))
    planes = [packed_by_itk(tmp_path / "one", values[:, :, k], "JPEG2000", signed=False) for k in range(10)]
    streams, packed = [b"".join(generate_frames(plane.PixelData)) for plane in planes], planes[0]
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID, dataset.PixelRepresentation = packed.file_meta.TransferSyntaxUID, 0
    dataset.BitsStored, dataset.HighBit = packed.BitsStored, packed.HighBit
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].is_undefined_length = True
    save(dataset, file)
    assert np.array_equal(read_image(file).array, 0.5 * values + 10)


def content(name, value):
    """Puts an attribute into every frame's content, by its number."""

    def change(group, number):
        setattr(group.FrameContentSequence[0], name, value(number))

    return change


def b_values(group, number):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    diffusion = Dataset()
    diffusion.DiffusionBValue = [0.0, 500.0, 1000.0][number % 3]
    group.MRDiffusionSequence = Sequence([diffusion])


def echoes(*times):
    """Gives every frame an effective echo time in ms, in turn."""

    def change(group, number):
        from pydicom.dataset import Dataset
        from pydicom.sequence import Sequence

        echo = Dataset()
        echo.EffectiveEchoTime = float(times[number % len(times)])
        group.MREchoSequence = Sequence([echo])

    return change


def diffusion(b_value, direction=lambda number: None):
    """Gives every frame a b-value and a direction by its number; None leaves it out."""

    def change(group, number):
        from pydicom.dataset import Dataset
        from pydicom.sequence import Sequence

        weighting = Dataset()
        if b_value(number) is not None:
            weighting.DiffusionBValue = float(b_value(number))
        if direction(number) is not None:
            gradient = Dataset()
            gradient.DiffusionGradientOrientation = direction(number)
            weighting.DiffusionGradientDirectionSequence = Sequence([gradient])
        group.MRDiffusionSequence = Sequence([weighting])

    return change


def second_orientation(group, number):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if number < 5 else [0, 1, 0, 0, 0, -1]
    group.PlaneOrientationSequence = Sequence([orientation])


def nowhere(group, _):
    del group.PlanePositionSequence


REFUSED = {
    "a missing frame": (dict(order=(0, 1, 2, 3, 5, 6, 7, 8, 9)),
        "slices are missing.*1 missing, the first between"),
    "two time points": (
        dict(
            order=[k for k in range(10) for _ in range(2)],
            frame=content("TemporalPositionIndex", lambda n: n % 2 + 1),
        ),
        "several volumes.*2 slices at each of 10 places.*time point 1, 2",
    ),
    "three b-values": (
        dict(order=[k for k in range(10) for _ in range(3)], frame=b_values),
        "several volumes.*3 slices at each of 10 places.*b-value 0.0, 500.0, 1000.0",
    ),
    "two stacks at one place": (
        dict(order=[*range(10), *range(10)], frame=content("StackID", lambda n: str(n // 10 + 1))),
        "several volumes.*stack 1, 2",
    ),
    "two stacks of two orientations": (
        dict(frame=second_orientation),
        "changes its orientation.*5 slices.*5 slices",
    ),
    "two stacks apart": (
        dict(order=(0, 1, 2, 3, 7, 8, 9), frame=content("StackID", lambda n: "1" if n < 4 else "2")),
        "changes its stack.*1 in 4 slices, 2 in 3",
    ),
    "one time point cut short": (
        dict(order=[*range(10), *range(6)], frame=content("TemporalPositionIndex", lambda n: n // 10 + 1)),
        "several slices at one place.*6 of 10 places.*time point 1, 2",
    ),
    "b-values at different places": (
        dict(frame=diffusion(lambda n: 0 if n < 5 else 1000)), "changes its b-value.*0.0 in 5 .*1000.0 in 5"
    ),
    "a b-value in half of the frames": (
        dict(frame=diffusion(lambda n: None if n < 5 else 1000)), "changes its b-value.*none in 5"
    ),
    "directions at different places": (
        dict(frame=diffusion(lambda n: 1000, lambda n: [0, 0, 1] if n % 2 else [1, 0, 0])),
        "changes its diffusion direction",
    ),
    "time points at different places": (
        dict(frame=content("TemporalPositionIndex", lambda n: n % 2 + 1)), "changes its time point.*1 in 5"
    ),
    "stacks that follow on each other": (
        dict(frame=content("StackID", lambda n: "1" if n < 5 else "2")), "changes its stack.*1 in 5 .*2 in 5"
    ),
    "echoes at different places": (dict(frame=echoes(2.3, 4.6)), "changes its echo time.*2.3 in 5 .*4.6"),
    "rescaling in some of the frames": (
        dict(frame=lambda g, n: rescaled(g, 2, -1024) if n != 3 else None),
        "rescales some of its slices.*RescaleSlope in 9 of 10 slices, none in frame 4 of mr.dcm",
    ),
    "frames without a position": (dict(frame=nowhere), "without a position"),
    "one frame": (dict(order=(4,)), "2D image"),
    "fewer frames than groups": (
        dict(change=lambda d, _: setattr(d, "NumberOfFrames", 8)),
        "describe each of its frames.*8 frames.*groups for 10",
    ),
    "more frames than groups": (
        dict(change=lambda d, _: setattr(d, "NumberOfFrames", 12)),
        "describe each of its frames",
    ),
    "all frames at one place": (dict(order=[4] * 10), "all its slices at one place"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED)
def test_frames_that_make_no_single_volume_are_refused_with_the_reason(tmp_path, options, said):
    file = write_enhanced(tmp_path / "mr.dcm", numbers(), AXIAL, **options)
    with pytest.raises(InputError, match=said) as caught:
        read_image(file)
    assert "mr.dcm" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("frame", [
    echoes(2.30, 2.31), diffusion(lambda n: 1000 + n % 3), diffusion(lambda n: None if n % 2 else 0),
    diffusion(lambda n: 1000, lambda n: [0.6, 0.8 + 0.001 * (n % 2), 0.0]),
    content("FrameAcquisitionNumber", lambda n: n),
    content("NominalCardiacTriggerDelayTime", lambda n: 40.0 * n),
], ids=["echo", "b-value", "no weighting", "direction", "number", "trigger"])  # fmt: skip
def test_frames_of_one_volume_may_differ_by_rounding_and_by_their_times(tmp_path, frame):
    file = write_enhanced(tmp_path / "mr.dcm", numbers(), AXIAL, frame=frame)
    assert np.array_equal(read_image(file).array, numbers())


def test_two_enhanced_files_in_a_folder_are_two_series(tmp_path):
    write_enhanced(tmp_path / "a.dcm", numbers(), AXIAL)
    write_enhanced(tmp_path / "b.dcm", numbers(), AXIAL, series="1.2.3.10")
    with pytest.raises(
        InputError, match=r"several DICOM series.*a.dcm.*b.dcm.*give the file of a multi-frame one"
    ):
        read_image(tmp_path)
