"""Laws of the synthetic episodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from iris_core.errors import InputError
from iris_core.training.synthesis import FAMILIES, EpisodeBatch, synthesise
from iris_core.training.synthesis.anatomy import FIRST_OBJECT, LABELS
from iris_core.training.synthesis.appearance.painting import paint
from iris_core.training.synthesis.appearance.rendering import blur, thick_slices
from iris_core.training.synthesis.deformation import draw_displacement, upsampled, voxel_grid
from iris_core.training.synthesis.imperfect_mask import grown
from iris_core.training.synthesis.primitive import Primitive, inside

SHAPE = (32, 32, 32)
CLASSES = 4


def draw(seed: int, batch: int = 4, shape: tuple[int, int, int] = SHAPE, **options) -> EpisodeBatch:
    return synthesise(batch, CLASSES, shape, torch.Generator().manual_seed(seed), **options)


@pytest.fixture(scope="module")
def many() -> list[EpisodeBatch]:
    """20 pairs of each family."""
    names = list(FAMILIES)
    return [draw(seed, batch=len(names), families=names) for seed in range(20)]


def dice(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Overlap over the last three axes."""
    both = (a * b).flatten(-3).sum(-1)
    return 2 * both / (a.flatten(-3).sum(-1) + b.flatten(-3).sum(-1)).clamp_min(1)


def test_the_same_seed_gives_the_same_batch():
    first, second = draw(3), draw(3)
    for field in dataclasses.fields(EpisodeBatch):
        a, b = getattr(first, field.name), getattr(second, field.name)
        assert torch.equal(a, b) if torch.is_tensor(a) else a == b, field.name


def test_other_seeds_and_later_draws_give_other_batches():
    generator = torch.Generator().manual_seed(3)
    first = synthesise(2, CLASSES, SHAPE, generator)
    later = synthesise(2, CLASSES, SHAPE, generator)
    assert not torch.equal(first.query_image, later.query_image)
    assert not torch.equal(first.query_image, draw(4, batch=2).query_image)


@pytest.mark.parametrize("shape", [(16, 16, 16), (48, 32, 16), (16, 32, 48)])
def test_shapes_and_types_follow_the_request(shape):
    batch = draw(0, batch=2, shape=shape)
    assert batch.reference_image.shape == batch.query_image.shape == (2, 1, *shape)
    assert batch.reference_mask.shape == batch.query_mask.shape == (2, CLASSES, *shape)
    assert batch.valid.shape == batch.present.shape == (2, CLASSES)
    assert batch.reference_offset.shape == batch.query_offset.shape == (2, 3)
    assert batch.valid.dtype == batch.present.dtype == torch.bool
    floats = (batch.reference_image, batch.query_mask, batch.reference_mask, batch.query_offset)
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    assert len(batch.family) == 2


def test_a_side_that_is_no_multiple_of_16_is_refused():
    with pytest.raises(InputError, match=r"multiples of 16.*\(32, 32, 20\)"):
        draw(0, shape=(32, 32, 20))


def test_an_unknown_family_is_refused():
    with pytest.raises(InputError, match="dragon"):
        draw(0, batch=1, families=["dragon"])


def test_images_are_z_scored_inside_their_padding(many):
    for batch in many:
        for image in torch.cat([batch.reference_image, batch.query_image]):
            assert torch.isfinite(image).all()
            covered = image[image != 0]
            assert abs(float(covered.mean())) < 0.02
            assert abs(float(covered.std()) - 1) < 0.02


def test_masks_are_binary_and_flags_say_what_they_hold(many):
    for batch in many:
        for mask in (batch.reference_mask, batch.query_mask):
            assert torch.equal(mask, mask.bool().float())
        assert torch.equal(batch.valid, batch.reference_mask.flatten(2).sum(-1) > 0)
        assert torch.equal(batch.present, batch.query_mask.flatten(2).sum(-1) >= 8)


def test_padding_belongs_to_no_class(many):
    padded = 0
    for batch in many:
        for i in range(len(batch.family)):
            empty_slices = (batch.query_image[i, 0] == 0).flatten(1).all(1)
            padded += int(empty_slices.any())
            assert not batch.query_mask[i][:, empty_slices].any()
    assert padded > 0


def test_nearly_every_reference_holds_its_class(many):
    assert torch.cat([batch.valid for batch in many]).float().mean() > 0.99


def test_about_15_percent_of_the_classes_are_absent_from_the_query(many):
    absent = 1 - torch.cat([batch.present for batch in many]).float().mean()
    assert 0.08 < absent < 0.25


def test_tasks_run_from_small_to_half_the_window(many):
    sizes = torch.cat([b.reference_mask.flatten(2).sum(-1).flatten() for b in many]) / np.prod(SHAPE)
    assert sizes.quantile(0.1) < 0.01
    assert sizes.quantile(0.95) > 0.1
    assert sizes.max() < 0.75  # half, and a voxel more where the hand was careless


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_reference_mask_overlaps_its_own_query_class_more_than_another(many, family):
    row = list(FAMILIES).index(family)
    own, other = [], []
    for batch in many:
        reference, query = batch.reference_mask[row], batch.query_mask[row]
        own.append(dice(reference, query)[batch.present[row]])
        other.append(dice(reference, query.roll(1, 0))[batch.present[row]])
    assert torch.cat(own).mean() > 2 * torch.cat(other).mean()
    assert torch.cat(own).mean() > 0.08


def test_told_offsets_bring_the_two_masks_together(many):
    """Centre of mass plus offset is the place in the field of view, the same in both images."""
    apart, aligned = [], []
    grid = voxel_grid(SHAPE)
    rows = [list(FAMILIES).index(name) for name in ("partition", "organs", "heart", "brain")]
    for batch in many:
        for i in rows:
            gap = batch.reference_offset[i] - batch.query_offset[i]
            if gap.norm() < 4:
                continue
            for k in range(CLASSES):
                if batch.present[i, k] and batch.valid[i, k]:
                    places = [grid[m[i, k] > 0].mean(0) for m in (batch.reference_mask, batch.query_mask)]
                    apart.append((places[0] - places[1]).norm())
                    aligned.append((places[0] - places[1] + gap).norm())
    assert len(apart) > 25
    assert torch.stack(aligned).mean() < torch.stack(apart).mean()


def test_training_begins_with_some_identical_pairs_and_drops_them():
    def identical(progress: float) -> int:
        batches = [draw(seed, batch=8, progress=progress) for seed in range(5)]
        return sum(int((b.reference_image == b.query_image).flatten(1).all(1).sum()) for b in batches)

    assert identical(0.0) > 0
    assert identical(0.5) == 0


def test_pairs_are_closer_at_the_start_of_training():
    def overlap(progress: float) -> float:
        batches = [draw(seed, batch=8, progress=progress) for seed in range(5)]
        return float(torch.cat([dice(b.reference_mask, b.query_mask)[b.present] for b in batches]).mean())

    assert overlap(0.0) > overlap(1.0) + 0.1


def test_labels_of_every_family_fit_the_tables():
    for name, (family, _) in FAMILIES.items():
        for seed in range(10):
            anatomy = family(np.random.default_rng(seed), SHAPE)
            tops = [o.label + sum(cut < 5 for cut in o.cuts) for o in anatomy.objects]
            assert all(FIRST_OBJECT <= top < LABELS for top in tops), name
            assert all(0 < v < LABELS for kind in anatomy.kinds for v in kind), name


def test_a_sphere_is_painted_where_it_is():
    anatomy = FAMILIES["partition"][0](np.random.default_rng(0), SHAPE)
    sphere = Primitive(FIRST_OBJECT, np.array([3.0, -2.0, 1.0]), np.full(3, 6.0))
    grid = voxel_grid(SHAPE)
    painted = paint([anatomy], [[sphere]], [{}], grid[None])[0] == FIRST_OBJECT
    assert torch.equal(painted, (grid - torch.tensor([3.0, -2.0, 1.0])).square().sum(-1) < 36)


def test_a_mirrored_object_is_the_mirror_image():
    anatomy = FAMILIES["partition"][0](np.random.default_rng(0), SHAPE)
    left = Primitive(FIRST_OBJECT, np.array([7.0, 1.0, 0.0]), np.array([4.0, 7.0, 3.0]), bend=(2.0, 1.0, 0.0))
    right = dataclasses.replace(left, side=-1)
    grid = voxel_grid(SHAPE)[None]
    one, other = (paint([anatomy], [[o]], [{}], grid)[0] == FIRST_OBJECT for o in (left, right))
    assert one.sum() > 50
    assert torch.equal(one, other.flip(0))


def test_every_painted_voxel_of_a_bent_object_is_found_by_the_block_search():
    """The literal way: the formula at every voxel."""
    rng = np.random.default_rng(5)
    grid = voxel_grid(SHAPE)
    anatomy = FAMILIES["partition"][0](rng, SHAPE)
    for _ in range(20):
        radii = rng.uniform(1, 12, 3)
        thing = Primitive(
            FIRST_OBJECT,
            rng.uniform(-10, 10, 3),
            radii,
            bend=tuple(rng.normal(0, 4, 3)),
            boxy=rng.random(),
            swing=2.0,
            taper=rng.uniform(-0.7, 0.7),
        )
        cuts = torch.tensor([thing.cuts])
        literal, _ = inside(torch.from_numpy(thing.packed())[None], grid.view(1, -1, 3), cuts)
        painted = paint([anatomy], [[thing]], [{}], grid[None])[0] == FIRST_OBJECT
        assert torch.equal(painted, literal.view(SHAPE))


def test_parts_behind_a_cut_get_the_next_labels():
    anatomy = FAMILIES["partition"][0](np.random.default_rng(0), SHAPE)
    thing = Primitive(FIRST_OBJECT, np.zeros(3), np.array([12.0, 5.0, 5.0]), cuts=(-0.25, 0.5))
    grid = voxel_grid(SHAPE)
    painted = paint([anatomy], [[thing]], [{}], grid[None])[0]
    along = grid[..., 0]
    assert (along[painted == FIRST_OBJECT] <= -3).all()
    assert (along[painted == FIRST_OBJECT + 2] > 6).all()
    assert (painted == FIRST_OBJECT + 1).any()


def test_displacements_do_not_fold():
    generator = torch.Generator().manual_seed(0)
    shift = draw_displacement(SHAPE, np.array([0.5, 1.0, 2.0]), np.array([4.0, 5.0, 8.0]), generator)
    for axis in range(3):
        steps = shift[:, axis].diff(dim=axis + 1)
        assert (steps > -1).float().mean() > 0.999


def test_blur_keeps_a_constant_and_thick_slices_keep_a_flat_axis():
    flat = torch.full((2, 16, 16, 16), 3.0)
    assert torch.allclose(blur(flat, torch.tensor([[0.3, 0.5, 1.0], [1.0, 1.0, 1.0]])), flat)
    ramp = torch.arange(16.0).view(-1, 1, 1).expand(16, 16, 16)
    assert torch.allclose(thick_slices(ramp, 2, 4), ramp)


def test_a_grown_voxel_is_a_cross():
    mask = torch.zeros(5, 5, 5, dtype=torch.bool)
    mask[2, 2, 2] = True
    assert grown(mask).sum() == 7


def test_upsampling_is_trilinear_interpolation():
    coarse = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    literal = torch.nn.functional.interpolate(coarse, size=(9, 8, 16), mode="trilinear", align_corners=True)
    assert torch.allclose(upsampled(coarse, (9, 8, 16)), literal, atol=1e-5)
