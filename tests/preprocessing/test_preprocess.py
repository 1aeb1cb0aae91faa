"""Laws of the numbers: clipping, z-score, nnU-Net's order and target shape, competition, modality."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from iris_core.errors import InputError
from iris_core.preprocessing.grid import label_map, working_shape
from iris_core.preprocessing.intensity import normalise
from iris_core.preprocessing.modality import detect_modality
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.volume.volume import LabelVolume, Volume


def phantom(shape=(20, 22, 16), spacing=(1.0, 1.0, 3.0), seed=0) -> Volume:
    """Noise over a bright block, with a margin of zeros two voxels wide; RAS+."""
    generator = np.random.default_rng(seed)
    array = generator.normal(100, 20, shape)
    array[6:12, 6:12, 4:9] += 200
    inside = np.zeros(shape, dtype=bool)
    inside[2:-2, 2:-2, 2:-2] = True
    return Volume(np.where(inside, array, 0).astype(np.float32), np.diag([*spacing, 1.0]))


def literal_nnunet(
    volume: Volume, clip: tuple[float, float] | None, spacing: tuple[float, ...]
) -> torch.Tensor:
    """Crop to nonzero, clip, z-score, resample, each written out for an RAS+ volume."""
    hits = np.argwhere(volume.array != 0)
    (i0, j0, k0), (i1, j1, k1) = hits.min(axis=0), hits.max(axis=0) + 1
    array = volume.array[i0:i1, j0:j1, k0:k1].astype(np.float64)
    low, high = clip or (np.percentile(array, 2), np.percentile(array, 98))
    array = array.clip(low, high)
    array = (array - array.mean()) / array.std()
    target = [
        round(old / new * length)
        for old, new, length in zip(volume.spacing, spacing, array.shape, strict=True)
    ]
    tensor = torch.from_numpy(array.astype(np.float32))[None, None]
    return functional.interpolate(tensor, size=target, mode="trilinear", align_corners=False)[0]


@pytest.mark.parametrize(("modality", "clip"), [("mr", None), ("pet", None), ("ct", (-990.0, 500.0))])
def test_preparing_equals_the_literal_nnunet_order(modality, clip):
    volume = phantom()
    if modality == "ct":
        volume = Volume(
            np.where(volume.array == 0, 0, volume.array * 6 - 1500).astype(np.float32), volume.affine
        )
    prepared = prepare_image(volume, modality=modality, spacing=(1.5, 1.3, 1.5))
    assert torch.allclose(prepared.image, literal_nnunet(volume, clip, (1.5, 1.3, 1.5)), atol=1e-4)
    assert prepared.image.dtype == torch.float32


def test_the_target_shape_rounds_as_nnunet_does():
    # 1 x 1 x 3 mm to 1.5 mm: 50 -> 33.33, 50 -> 33.33, 21 -> 42; and ties go to the even number
    assert working_shape((48, 50, 21), (1.0, 1.0, 3.0), (1.5, 1.5, 1.5)) == (32, 33, 42)
    assert working_shape((5, 7, 1), (1.0, 1.0, 1.0), (2.0, 2.0, 9.0)) == (2, 4, 1)


def test_ct_is_clipped_to_the_papers_window():
    array = np.array([-3000.0, -990.0, 0.0, 500.0, 3000.0])
    assert np.allclose(normalise(array, "ct"), normalise(array.clip(-990, 500), "ct"))
    assert np.ptp(normalise(array, "ct")) > 0


@pytest.mark.parametrize(("modality", "expected"), [("ct", "[-990, 500] HU"), ("mr", "98th percentile")])
def test_an_image_of_which_clipping_leaves_nothing_is_refused(modality, expected):
    array = np.full((12, 12, 12), 1000.0, np.float32)
    array[5, 5, 5:9] = 2000.0  # above CT's window like the rest, and under 2 % of the voxels
    with pytest.raises(InputError, match="nothing is left of the image") as error:
        prepare_image(Volume(array, np.eye(4)), modality=modality, spacing=(1.0, 1.0, 1.0))
    assert expected in str(error.value)


def test_mr_does_not_change_with_gain_and_offset():
    array = np.random.default_rng(0).gamma(2.0, 50.0, (12, 13, 14))
    assert np.allclose(normalise(array, "mr"), normalise(array * 37.5 + 1000, "mr"), atol=1e-4)


@pytest.mark.parametrize("modality", ["ct", "mr", "pet"])
def test_the_normalised_volume_has_mean_zero_and_deviation_one(modality):
    array = np.random.default_rng(0).normal(-200, 300, (20, 20, 20)).astype(np.float32)
    result = normalise(array, modality)
    assert abs(result.mean(dtype=np.float64)) < 1e-5
    assert abs(result.std(dtype=np.float64) - 1) < 1e-5


def test_what_lies_in_one_value_after_clipping_becomes_zero_and_not_nan():
    assert np.array_equal(normalise(np.full((3, 3, 3), 700.0), "ct"), np.zeros((3, 3, 3)))


def test_an_unknown_modality_is_refused():
    with pytest.raises(InputError, match=r"modality.*ct or mr or pet.*xray"):
        prepare_image(phantom(), modality="xray", spacing=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, float("nan"), 1.0), (1.0, 1.0)])
def test_an_unusable_spacing_is_refused(spacing):
    with pytest.raises(InputError, match="spacing"):
        prepare_image(phantom(), modality="mr", spacing=spacing)


def test_masks_are_soft_and_lie_on_the_images_grid():
    volume = phantom()
    label = LabelVolume((volume.array > 200).astype(np.uint8) * 4, volume.affine)
    prepared = prepare_image(volume, modality="mr", spacing=(1.7, 1.7, 1.7))
    masks = prepare_masks(label, [4, 9], prepared.grid)
    assert masks.shape == (2, *prepared.image.shape[1:])
    assert masks.min() >= 0 and masks.max() <= 1 and ((masks > 0) & (masks < 1)).any()
    assert masks[1].sum() == 0
    inside, outside = prepared.image[0][masks[0] > 0.9], prepared.image[0][masks[0] < 0.1]
    assert inside.mean() > outside.mean() + 1


def test_masks_of_overlapping_layers_are_kept_apart():
    volume = phantom()
    layers = np.zeros((2, *volume.shape), dtype=np.uint8)
    layers[0, 4:10, 4:10, 4:8] = 1
    layers[1, 6:12, 6:12, 4:8] = 2
    label = LabelVolume(np.maximum(*layers), volume.affine, layers=tuple(layers))
    grid = prepare_image(volume, modality="mr", spacing=volume.spacing).grid
    masks = prepare_masks(label, [1, 2], grid)
    assert masks.sum(dim=(1, 2, 3)).tolist() == [6 * 6 * 4, 6 * 6 * 4]


def test_a_label_of_another_shape_is_refused():
    grid = prepare_image(phantom(), modality="mr", spacing=(1.0, 1.0, 1.0)).grid
    with pytest.raises(InputError, match=r"grid.*\(20, 22, 16\).*\(20, 22, 15\)"):
        prepare_masks(LabelVolume(np.zeros((20, 22, 15), np.uint8), np.eye(4)), [1], grid)


def test_the_label_map_takes_the_largest_logit_above_zero():
    #                        none   first  second  first wins  a logit of 0 is background
    logits = torch.tensor([[-1.0, 2.0, -1.0, 3.0, 0.0], [-2.0, 1.0, 0.5, 2.0, -1.0]])
    assert label_map(logits, [5, 2]).tolist() == [0, 5, 2, 5, 0]


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (70000, np.int32)])
def test_the_label_map_has_the_smallest_type_that_fits(largest, dtype):
    assert label_map(torch.ones(1, 2), [largest]).dtype == dtype


def hounsfield(seed=0) -> np.ndarray:
    """Air around a body of soft tissue with some bone; whole numbers."""
    generator = np.random.default_rng(seed)
    array = generator.normal(-1000, 15, (24, 24, 24))
    array[5:19, 5:19, 5:19] = generator.normal(40, 30, (14, 14, 14))
    array[9:12, 9:12, 5:19] = 900
    return array.round()


@pytest.mark.parametrize(
    ("array", "modality"),
    [
        (hounsfield(), "ct"),
        (hounsfield() + 0.25, "ct"),  # resampled CT is no longer whole numbers
        (
            np.where(np.arange(24)[:, None, None] < 2, -3024, hounsfield()),
            "ct",
        ),  # padding of the scanner's circle
        (hounsfield() + 1024, "mr"),  # an offset that the header should have taken off
        (np.random.default_rng(0).gamma(2, 100, (20, 20, 20)), "mr"),
        (np.random.default_rng(0).gamma(2, 100, (20, 20, 20)) - 30, "mr"),  # filtered: some values below 0
        (np.random.default_rng(0).normal(0, 1, (20, 20, 20)), "mr"),  # z-scored
        (np.random.default_rng(0).uniform(-4096, 4096, (20, 20, 20)), "mr"),  # phase
    ],
    ids=["ct", "resampled ct", "padded ct", "offset ct", "mr", "mr below 0", "z-scored", "phase"],
)
def test_modality_is_told_from_the_values_and_explained(array, modality):
    found = detect_modality(Volume(array.astype(np.float32), np.eye(4)))
    assert found.name == modality, found.reason
    assert f"{array.max():g}"[:4] in found.reason
