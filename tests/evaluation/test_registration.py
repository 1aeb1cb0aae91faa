"""Laws of the registration peers: they find a moved structure, keep grids, and let references vote."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.evaluation.peers import convex_adam as convex_adam_module
from iris_core.evaluation.peers.convex_adam import affine_and_displacements
from iris_core.evaluation.peers.masks_by_field import masks_by_field
from iris_core.evaluation.peers.registration import FEWEST, MOST, affine_and_splines, share_compared
from iris_core.metrics import dice
from iris_core.volume.volume import LabelVolume, Volume

SIDE = 24
STEP = 1.5  # mm


def blob(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.arange(SIDE, dtype=float)] * 3, indexing="ij"), -1)
    return (((grid - centre) / radii) ** 2).sum(-1) < 1


def study(shift: float, swell: float = 1.0) -> tuple[Volume, LabelVolume]:
    """A bright body with a dark organ off its centre, grown by `swell` and moved by `shift` voxels."""
    body = blob((10 + shift, 12, 12), tuple(swell * radius for radius in (8, 8, 7)))
    organ = blob((10 + shift - 2 * swell, 12 - 2 * swell, 12), tuple(swell * radius for radius in (4, 4, 3)))
    noise = np.random.default_rng(0).normal(0, 4, body.shape)
    image = 20 + 100 * body - 60 * organ + noise
    affine = np.diag([STEP, STEP, STEP, 1])
    label = LabelVolume(3 * organ.astype(np.uint8), affine, {3: "organ"}, {})
    return Volume(image.astype(np.float32), affine), label


def registered(references, query, find_field=affine_and_splines, values=(3,)) -> LabelVolume:
    return masks_by_field(references, query, values, find_field, modality="mr", spacing=(STEP,) * 3)


@pytest.mark.parametrize("method", [affine_and_splines, affine_and_displacements])
def test_an_organ_that_moved_and_grew_with_its_body_is_found(method):
    reference, (query, truth) = study(0), study(3, swell=1.2)
    copied = dice(truth.array, reference[1].array)
    found = registered([reference], query, method)
    assert found.array.shape == query.shape
    assert set(np.unique(found.array)) <= {0, 3}
    assert dice(truth.array, found.array) > max(0.85, copied + 0.3)


def test_a_reference_without_the_class_has_no_vote_and_a_class_that_nobody_holds_stays_empty(monkeypatch):
    """Which also says that the same seed gives the same mask. A few steps show it as well as many."""
    monkeypatch.setattr("iris_core.evaluation.peers.registration.STEPS", (10, 3))
    monkeypatch.setattr("iris_core.evaluation.peers.registration.LOOKS", 5)
    reference, (query, _) = study(0), study(3)
    image, label = study(0)
    empty = LabelVolume(np.zeros_like(label.array), label.affine, label.names, {})
    alone = registered([reference], query)
    together = registered([reference, (image, empty)], query, values=(3, 5))
    assert np.array_equal(alone.array, together.array) and 3 in alone.array
    assert 5 not in together.array


def test_displacements_follow_what_an_affine_map_cannot(monkeypatch):
    """One of two organs moves against the body, which stays."""
    monkeypatch.setattr("iris_core.evaluation.peers.registration.STEPS", (20, 3))

    def two_organs(shift: float) -> tuple[Volume, LabelVolume]:
        moved, still = blob((8 + shift, 9, 12), (3, 3, 3)), blob((12, 16, 12), (3, 3, 3))
        body = 100.0 * blob((12, 12, 12), (11, 11, 10))
        image = body - 60 * moved + 40 * still + np.random.default_rng(1).normal(0, 2, body.shape)
        affine = np.diag([STEP, STEP, STEP, 1])
        return Volume(image.astype(np.float32), affine), LabelVolume(3 * moved.astype(np.uint8), affine)

    reference, (query, truth) = two_organs(0), two_organs(3)
    found = registered([reference], query, affine_and_displacements)
    assert dice(truth.array, found.array) > dice(truth.array, reference[1].array) + 0.25


def test_without_its_package_convex_adam_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(convex_adam_module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install convexadam"):
        registered([study(0)], study(3)[0], affine_and_displacements)


def test_neither_a_small_nor_a_large_volume_is_compared_too_much_or_too_little():
    for voxels in (100, FEWEST, 4 * FEWEST, 50 * FEWEST, 1000 * FEWEST):
        compared = share_compared(voxels) * voxels
        assert min(voxels, FEWEST) <= round(compared) <= min(voxels, MOST)
