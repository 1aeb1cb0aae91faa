"""How a query is prepared when it does not look like its references."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.config import CT_CLIP
from iris_core.preprocessing.modality import detect_modality, has_offset, in_hounsfield, query_modality
from iris_core.remarks import listening
from iris_core.task.reference import Reference, joined_modality
from iris_core.volume.volume import LabelVolume, Volume

RANDOM = np.random.default_rng(0)
CT = Volume(np.where(RANDOM.random((20, 20, 20)) < 0.5, -1000, 40).astype(np.float32), np.eye(4))
MR = Volume(RANDOM.random((20, 20, 20)).astype(np.float32) * 800, np.eye(4))


@pytest.mark.parametrize(("query", "references"), [(CT, "ct"), (MR, "mr"), (MR, "pet")])
def test_a_query_like_its_references_raises_no_doubt(query, references):
    assert query_modality(query, references, given=False) == (references, [])


@pytest.mark.parametrize(("query", "references", "looks"), [(CT, "mr", "ct"), (MR, "ct", "mr")])
def test_another_modality_is_prepared_as_what_it_looks_like_unless_one_was_given(query, references, looks):
    own, (doubt,) = query_modality(query, references, given=False)
    assert own == looks and f"looks like {looks}" in doubt and f"prepared as {looks}" in doubt
    kept, (warning,) = query_modality(query, references, given=True)
    assert kept == references and f"looks like {looks}" in warning


def mixture(*parts: tuple[float, float, float]) -> Volume:
    """An image of (share, mean, deviation) parts, rounded as scanners do."""
    draw = np.random.default_rng(1)
    total = 30**3
    values = np.concatenate([draw.normal(mean, sd, round(share * total)) for share, mean, sd in parts])
    values = np.rint(values) if np.abs(values).max() > 100 else values
    return Volume(np.resize(values, (30, 30, 30)).astype(np.float32), np.eye(4))


def magnitude(*parts: tuple[float, float, float]) -> Volume:
    """The same without values below 0."""
    image = mixture(*parts)
    return Volume(np.abs(image.array), image.affine)


LIMB = mixture((0.985, -1000, 8), (0.008, 50, 20), (0.004, -100, 15), (0.003, 900, 250))
PADDED_LIMB = mixture((0.6, -3024, 0), (0.388, -1000, 8), (0.01, 50, 20), (0.002, 900, 250))
BARE_BONE = mixture((0.95, -1000, 8), (0.05, 1100, 250))
WITHOUT_AIR = mixture((0.7, 45, 15), (0.29, -100, 12), (0.01, 700, 150))
BONE_CROP = mixture((0.4, 350, 60), (0.6, 900, 150))
WITHOUT_AIR_OR_FAT = mixture((0.8, 55, 15), (0.1, 10, 8), (0.1, 900, 200))
UNSIGNED = magnitude((0.3, 0, 0), (0.3, 24, 8), (0.25, 1070, 20), (0.1, 924, 15), (0.05, 1900, 200))
BODY = mixture((0.5, -1000, 10), (0.4, 45, 20), (0.1, -100, 15))
MR_HEAD = magnitude((0.5, 12, 6), (0.4, 500, 90), (0.1, 900, 60))
MR_T1 = magnitude((0.4, 12, 6), (0.3, 1000, 60), (0.2, 780, 60), (0.1, 350, 80))
MR_SKULL_STRIPPED = mixture((0.7, 0, 0), (0.3, 700, 150))
MR_RINGING = mixture((0.5, 0, 4), (0.5, 700, 150))
MR_SIGNED = mixture((0.5, -60, 60), (0.5, 600, 200), (0.001, -400, 20))
MR_REAL_PART = mixture((0.3, -2000, 700), (0.4, 0, 500), (0.3, 1500, 600))
Z_SCORED = mixture((0.5, -0.9, 0.1), (0.4, 0.8, 0.5), (0.1, 2.5, 0.4))
ZERO_TO_ONE = magnitude((0.6, 0, 0), (0.3, 0.5, 0.1), (0.1, 0.9, 0.02))
ATTENUATION = magnitude((0.5, 0, 0), (0.4, 0.19, 0.01), (0.1, 0.35, 0.05))  # per cm
TWO_PADDINGS = mixture((0.2, -3024, 0), (0.1, -2000, 0), (0.4, -1000, 10), (0.2, 45, 20), (0.1, -100, 15))
MR_T1_MAP = magnitude((0.5, 0, 0), (0.5, 1050, 60))
UNSIGNED_WITHOUT_BONE = magnitude((0.5, 24, 8), (0.35, 1070, 20), (0.15, 924, 15))
UNSIGNED_WITHOUT_AIR = mixture((0.6, 0, 0), (0.25, 1070, 20), (0.1, 924, 15), (0.05, 1900, 200))
#: Maps of T1 in ms: muscle and spleen near 1050, blood near 1600, fat near 300, liver near 920.
T1_MAPS = [
    magnitude((0.5, 0, background), *tissues)
    for background in (0, 10, 30, 300)
    for tissues in (
        ((0.4, 1050, 60), (0.1, 1600, 80)),
        ((0.4, 1050, 50), (0.05, 300, 40), (0.1, 1600, 80)),
        ((0.3, 1060, 20), (0.2, 925, 20)),
    )
] + [magnitude((0.5, 24, 300), (0.3, 1060, 20), (0.2, 925, 20))]
PET = magnitude((0.9, 0.4, 0.2), (0.1, 9, 3))
PET_COUNTS = magnitude((0.9, 300, 100), (0.1, 20000, 6000))


@pytest.mark.parametrize("image", [LIMB, PADDED_LIMB, BARE_BONE, BODY, TWO_PADDINGS])
def test_ct_with_much_air_is_ct_however_little_tissue_it_shows(image):
    assert detect_modality(image).name == "ct"
    assert query_modality(image, "ct", given=False) == ("ct", [])


@pytest.mark.parametrize("image", [WITHOUT_AIR, BONE_CROP, WITHOUT_AIR_OR_FAT])
def test_a_query_that_nothing_contradicts_is_what_its_references_are_and_one_line_says_so(image):
    name, (line,) = query_modality(image, "ct", given=False)
    assert name == "ct" and "\n" not in line and "nothing contradicts" in line and "--modality mr" in line


@pytest.mark.parametrize(
    "image",
    [
        MR_T1,
        MR_T1_MAP,
        MR_HEAD,
        MR_SKULL_STRIPPED,
        MR_RINGING,
        MR_REAL_PART,
        PET,
        PET_COUNTS,
        Z_SCORED,
        ZERO_TO_ONE,
        ATTENUATION,
    ],
)
def test_values_that_no_ct_has_overrule_the_references(image):
    name, (line,) = query_modality(image, "ct", given=False)
    assert name == "mr" and "prepared as mr" in line
    kept, (doubt,) = query_modality(image, "ct", given=True)
    assert kept == "ct" and "looks like mr" in doubt


@pytest.mark.parametrize(("image", "name"), [(BODY, "ct"), (LIMB, "ct"), (MR_SIGNED, "mr"), (MR_HEAD, "mr")])
def test_only_air_at_its_hounsfield_value_makes_ct_of_a_query_with_mr_references(image, name):
    assert query_modality(image, "mr", given=False)[0] == name
    assert query_modality(image, "pet", given=False)[0] == (name if name == "ct" else "pet")


def test_ct_without_air_as_the_only_reference_is_taken_for_mr_with_the_reason():
    guess = detect_modality(WITHOUT_AIR)
    assert guess.name == "mr" and "where CT has air" in guess.reason
    reference = Reference(WITHOUT_AIR, LabelVolume(np.ones((30, 30, 30), np.uint8), np.eye(4)), "a")
    name, reason = joined_modality([reference], "auto")
    assert name == "mr" and "where CT has air" in reason
    assert joined_modality([reference], "ct")[0] == "ct"


def test_ct_with_1024_added_is_brought_to_hounsfield_units_and_nothing_else_is():
    for image in (UNSIGNED, UNSIGNED_WITHOUT_BONE):
        name, (line,) = query_modality(image, "ct", given=False)
        assert name == "ct" and "1024" in line
        assert query_modality(image, "ct", given=True)[0] == "ct"
        moved = in_hounsfield(image, "ct").array
        assert np.array_equal(moved, image.array - 1024) and moved.min() < CT_CLIP[0]
    assert in_hounsfield(UNSIGNED, "mr") is UNSIGNED
    for other in (
        LIMB,
        BODY,
        WITHOUT_AIR,
        BONE_CROP,
        MR_T1,
        MR_T1_MAP,
        Z_SCORED,
        MR_HEAD,
        MR_SKULL_STRIPPED,
        MR_RINGING,
        PET,
        PET_COUNTS,
        MR,
    ):
        assert not has_offset(other) and in_hounsfield(other, "ct") is other


@pytest.mark.parametrize("image", [*T1_MAPS, UNSIGNED_WITHOUT_AIR])
def test_nothing_is_subtracted_where_no_air_shows_that_1024_was_added_and_one_line_says_what_to_do(image):
    assert not has_offset(image) and in_hounsfield(image, "ct") is image
    for given in (False, True):
        name, (line,) = query_modality(image, "ct", given=given)
        assert name == ("ct" if given else "mr") and "looks like mr" in line and "\n" not in line
    doubted = [one for one in T1_MAPS if "1024" in query_modality(one, "ct", given=False)[1][0]]
    assert doubted, "some of them may be CT, which is said"


@pytest.mark.parametrize(
    ("image", "part"), [(UNSIGNED, "subtracted"), (UNSIGNED_WITHOUT_AIR, "subtract that")]
)
def test_what_is_done_with_a_references_1024_is_said(image, part):
    reference = Reference(image, LabelVolume(np.ones((30, 30, 30), np.uint8), np.eye(4)), "a")
    with listening() as heard:
        prepared = reference.prepared_as("ct")
    assert (prepared is reference) == (image is UNSIGNED_WITHOUT_AIR)
    assert [one.where for one in heard] == ["a"] and "1024 added" in heard[0].text and part in heard[0].text
    with listening() as heard:
        assert reference.prepared_as("mr") is reference and not heard
