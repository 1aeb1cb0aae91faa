"""What the shipped weights must show: on phantoms here, on real studies where IRIS_REAL_DATA names them.

The phantoms are a smoke test: their Dice says that the weights work, not how well on patients. Most laws are
tried in coarse voxels and without the second pass, for an eighth of the time; one law compares that with what
users get. What several tests need is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.checkpoint import load_model, shipped_weights
from iris_core.evaluation.peers.copy_prompt import copy_prompt
from iris_core.inference.settings import DEFAULTS
from iris_core.metrics import dice
from iris_core.model.build import build
from iris_core.prediction import Prediction
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.orientation import canonical_affine, to_canonical
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import list_cases, read_image, read_label
from sample_data import abdomen, head
from sample_data.make_phantoms import make_study

SEED = 11
COARSE = 1.5  # voxel size of the quick looks at a phantom, in the phantom's own
SHARPER = 1.25  # where little of a structure is in view
PAIRS = ((abdomen, 0, 1), (abdomen, 2, 3), (head, 0, 2))  # reference and query of three phantom pairs
MOST_BYTES = 40e6
MARGIN = 0.15  # Dice by which the weights beat their peers
AGREE = 0.98  # Dice of a class alone against the class among others
CROP_LOSS = 0.15  # Dice that a query may lose when a third of its field of view is cut away
FOOLED = 0.25  # share of its Dice that a class keeps when the context is wrong, at most

Wrong = Callable[[LabelVolume], LabelVolume]


def phantom(anatomy, number: int) -> Reference:
    image, label = make_study(anatomy, SEED, number)
    names = {value: name for name, value in anatomy.LABELS.items()}
    return Reference(
        Volume(np.asarray(image.dataobj, np.float32), image.affine),
        LabelVolume(np.asarray(label.dataobj), label.affine, names),
        f"{anatomy.NAME} {number}",
    )


@pytest.fixture(scope="module")
def shipped() -> Segmenter:
    """As users run it."""
    return Segmenter(load_model().model)


@pytest.fixture(scope="module")
def seen_once(shipped) -> Segmenter:
    """Without the second pass, for half the time."""
    return Segmenter(shipped.model, settings=DEFAULTS.without("mirroring"))


@pytest.fixture(scope="module")
def untrained(shipped) -> Segmenter:
    return Segmenter(build(shipped.model.config, seed=0).eval(), settings=DEFAULTS.without("mirroring"))


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Reference, Reference]]:
    return [(phantom(anatomy, a), phantom(anatomy, b)) for anatomy, a, b in PAIRS]


@pytest.fixture(scope="module", autouse=True)
def forgetting() -> Iterator[None]:
    """Drops at the end what was computed once for several tests."""
    yield
    for remembered in (segmented, task_of):
        remembered.cache_clear()


@cache
def task_of(
    segmenter: Segmenter,
    reference: Reference,
    classes: Sequence[str] | None,
    coarse: float | None,
    sparse: str,
) -> Task:
    """The task of a reference, in voxels of `coarse` times its own; None: the size that users get."""
    size = tuple(coarse * s for s in reference.image.spacing) if coarse else "auto"
    return encode_task(segmenter, [reference], classes=classes, spacing=size, sparse=sparse)


@cache
def segmented(
    segmenter: Segmenter,
    reference: Reference,
    query: Volume,
    classes: Sequence[str] | None = None,
    coarse: float | None = None,
    sparse: str = "no",
) -> Prediction:
    """A query by the task of `task_of`."""
    return apply_task(segmenter, task_of(segmenter, reference, classes, coarse, sparse), query)


def mean_dice(found: np.ndarray, truth: LabelVolume, values: list[int] | None = None) -> float:
    return float(np.mean([dice(found == v, truth.array == v) for v in values or truth.values]))


def rolled(label: LabelVolume) -> LabelVolume:
    """The label moved by half the volume along every axis."""
    shift = [n // 2 for n in label.shape]
    return LabelVolume(np.roll(label.array, shift, (0, 1, 2)), label.affine, label.names)


def swapped(label: LabelVolume) -> LabelVolume:
    """Every class's name on the voxels of another class."""
    values = list(label.values)
    array = np.zeros_like(label.array)
    for value, other in zip(values, values[len(values) // 2 :] + values[: len(values) // 2], strict=True):
        array[label.array == other] = value
    return LabelVolume(array, label.affine, label.names)


def kept(
    segmenter: Segmenter, pairs: list[tuple[Reference, Reference]], wrong: Wrong, coarse: float | None = None
) -> float:
    """Mean Dice against the original classes with a wrong context, relative to that with the right one."""
    right, fooled = [], []
    for reference, query in pairs:
        misled = Reference(reference.image, wrong(reference.label), reference.name)
        for one, scores in ((reference, right), (misled, fooled)):
            mask = segmented(segmenter, one, query.image, coarse=coarse).label.array
            scores.append(mean_dice(mask, query.label))
    return sum(fooled) / sum(right)


def alone_and_among_others(
    segmenter: Segmenter, reference: Reference, query: Volume, coarse: float | None = None
) -> dict[str, float]:
    """Per class the Dice between its mask alone and its mask among all, before classes compete."""
    together = segmented(segmenter, reference, query, coarse=coarse)
    names = [together.label.names[v] for v in sorted(together.label.names)]
    return {
        name: dice(segmented(segmenter, reference, query, (name,), coarse).masks[0], mask)
        for name, mask in zip(names, together.masks, strict=True)
    }


def test_the_file_is_at_most_40_mb():
    assert shipped_weights().stat().st_size <= MOST_BYTES


def test_the_weights_beat_random_ones_and_copying_on_phantoms(seen_once, untrained, pairs):
    scores = {"shipped": [], "untrained": [], "copied": []}
    for reference, query in pairs:
        truth = query.label
        for name, segmenter in (("shipped", seen_once), ("untrained", untrained)):
            mask = segmented(segmenter, reference, query.image, coarse=COARSE).label.array
            scores[name].append(mean_dice(mask, truth))
        copies = copy_prompt(reference.label, query.image, reference.label.values)
        scores["copied"].append(max(mean_dice(c.array, truth) for c in copies.values()))
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    assert means["shipped"] >= max(means["untrained"], means["copied"]) + MARGIN, scores


def test_what_users_get_is_better_than_coarse_voxels_seen_once(shipped, seen_once, pairs):
    """With the phantom's own voxels, the second pass and the closer looks."""
    reference, query = pairs[0]
    fine = segmented(shipped, reference, query.image).label.array
    quick = segmented(seen_once, reference, query.image, coarse=COARSE).label.array
    assert mean_dice(fine, query.label) > mean_dice(quick, query.label)


def test_classes_at_once_and_one_at_a_time_agree_on_a_phantom(seen_once, pairs):
    agreement = alone_and_among_others(seen_once, pairs[0][0], pairs[0][1].image, coarse=COARSE)
    assert np.mean(list(agreement.values())) >= AGREE, agreement


@pytest.mark.parametrize("wrong", [swapped, rolled])
def test_a_wrong_context_is_believed_on_phantoms(seen_once, pairs, wrong):
    assert kept(seen_once, pairs[:1], wrong, coarse=COARSE) < FOOLED


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", ["first", "last"])
def test_a_field_of_view_cut_by_a_third_costs_little(seen_once, pairs, axis, side):
    """Classes that stay in view: Dice falls by at most CROP_LOSS on average."""
    reference, query = pairs[2]
    array = to_canonical(query.image.array, query.image.affine)
    truth = np.ascontiguousarray(to_canonical(query.label.array, query.label.affine))
    length = truth.shape[axis]
    view = [slice(None)] * 3
    view[axis] = slice(length // 3, None) if side == "first" else slice(0, length - length // 3)
    affine = canonical_affine(query.image.affine, query.image.shape)
    affine[:3, 3] += affine[:3, :3] @ [v.start or 0 for v in view]
    cut, seen = array[tuple(view)].copy(), truth[tuple(view)]
    kept_values = [v for v in query.label.values if (seen == v).sum() > 0.95 * (truth == v).sum()]
    assert kept_values
    whole = segmented(seen_once, reference, query.image, coarse=SHARPER).label.array
    whole = to_canonical(whole, query.image.affine)
    found = segmented(seen_once, reference, Volume(cut, affine), coarse=SHARPER).label.array
    losses = [dice(whole == v, truth == v) - dice(found == v, seen == v) for v in kept_values]
    assert np.mean(losses) <= CROP_LOSS, dict(zip(kept_values, losses, strict=True))


def in_every_fifth(label: LabelVolume, axis: int) -> LabelVolume:
    """The label as somebody leaves it who draws in every fifth slice."""
    kept = np.expand_dims(np.arange(label.shape[axis]) % 5 == 3, [a for a in range(3) if a != axis])
    return LabelVolume(np.where(kept, label.array, 0), label.affine, label.names)


def share_of_the_whole(
    segmenter: Segmenter,
    reference: Reference,
    query: Reference,
    axis: int,
    how: str,
    coarse: float | None = None,
) -> float:
    """Dice by a label in every fifth slice, taken in this way, of that by the whole label."""
    sparse = Reference(reference.image, in_every_fifth(reference.label, axis), reference.name)
    whole = segmented(segmenter, reference, query.image, coarse=coarse).label.array
    found = segmented(segmenter, sparse, query.image, coarse=coarse, sparse=how).label.array
    return mean_dice(found, query.label) / mean_dice(whole, query.label)


def test_every_fifth_slice_gives_nine_tenths_of_the_whole_label_on_a_phantom(seen_once, pairs):
    assert share_of_the_whole(seen_once, *pairs[2], 2, "slices", coarse=COARSE) >= 0.9


@pytest.fixture(scope="module")
def real_pairs(real_data: Path) -> list[tuple[Reference, Reference]]:
    """Three pairs of Dataset901, from the cases 31 to 60 in name order, which choosing weights never sees."""
    folder = real_data / "Dataset901_HippocampusMR"
    cases = sorted(list_cases(folder / "imagesTr"), key=lambda case: case.name)[30:60]

    def study(index: int) -> Reference:
        label = folder / "labelsTr" / f"{cases[index].name}.nii.gz"
        return Reference(read_image(cases[index].path), read_label(label), cases[index].name)

    return [(study(index), study(index + 10)) for index in (0, 1, 2)]


@pytest.mark.real_data
@pytest.mark.parametrize("wrong", [swapped, rolled])
def test_a_wrong_context_is_believed_on_real_studies(seen_once, real_pairs, wrong):
    assert kept(seen_once, real_pairs, wrong) < FOOLED


@pytest.mark.real_data
def test_classes_at_once_and_one_at_a_time_agree_on_real_studies(seen_once, real_pairs):
    for reference, query in real_pairs:
        agreement = alone_and_among_others(seen_once, reference, query.image)
        assert np.mean(list(agreement.values())) >= AGREE, (reference.name, agreement)


@pytest.mark.real_data
def test_the_weights_beat_copying_on_real_studies(shipped, real_pairs):
    own, copied = [], []
    for reference, query in real_pairs:
        own.append(mean_dice(segmented(shipped, reference, query.image).label.array, query.label))
        copies = copy_prompt(reference.label, query.image, reference.label.values)
        copied.append(max(mean_dice(c.array, query.label) for c in copies.values()))
    assert np.mean(own) > np.mean(copied), (own, copied)


@pytest.mark.real_data
def test_another_orientation_of_the_same_study_gives_the_same_mask(shipped, real_pairs):
    reference, query = real_pairs[0]
    turned = nib.as_closest_canonical(nib.Nifti1Image(query.image.array, query.image.affine)).as_reoriented(
        np.array([[2, -1], [0, 1], [1, -1]])
    )
    straight = segmented(shipped, reference, query.image).label
    found = segmented(shipped, reference, Volume(np.asarray(turned.dataobj), turned.affine)).label
    back = nib.as_closest_canonical(nib.Nifti1Image(found.array, found.affine))
    same = nib.as_closest_canonical(nib.Nifti1Image(straight.array, straight.affine))
    assert dice(np.asarray(back.dataobj) > 0, np.asarray(same.dataobj) > 0) >= AGREE


@pytest.mark.real_data
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_fifth_slice_gives_nine_tenths_of_the_whole_label_on_real_studies(seen_once, real_pairs, axis):
    filled = [share_of_the_whole(seen_once, *pair, axis, "slices") for pair in real_pairs]
    plain = share_of_the_whole(seen_once, *real_pairs[0], axis, "no")
    assert np.mean(filled) >= 0.9 > plain, (filled, plain)
