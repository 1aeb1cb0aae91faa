"""Laws of the correspondence: what attention carries over, where positions lie, what an offset moves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model import correspondence
from iris_core.model.correspondence import Correspondence, cell_positions, sample
from iris_core.model.displacement import fit_affine
from iris_core.model.iris import PLACE_BLUR
from iris_core.model.layers import box_mean, place_matrix
from iris_core.model.reference_memory import ReferenceMemory
from tests.tiny import SIDE, boxes, network, noise

CELLS = SIDE // 4
WIDTH = 8
POSITION_OFF, POSITION_ON = -30.0, 3.0
ZERO = torch.zeros(1, 3)


def memory_of(features: Tensor, masks: Tensor, offset: Tensor = ZERO) -> ReferenceMemory:
    fine = F.interpolate(features[:, : WIDTH // 2], scale_factor=2)
    cells = F.avg_pool3d(masks, 2)
    prototypes = torch.zeros(1, masks.shape[1], 4, 2, WIDTH)
    landmarks = F.avg_pool3d(masks.amax(1, keepdim=True), 4)
    return ReferenceMemory(features, fine, cells, prototypes, landmarks, offset, torch.zeros(cells.shape[:2]))


def attended(features: Tensor, memory: ReferenceMemory, stiffness: float, scale: float) -> Tensor:
    """What one head carries onto an image with these features: masks and positions (K + 3, d, h, w)."""
    layer = Correspondence(WIDTH)
    layer.log_stiffness.data.fill_(stiffness)
    layer.log_scale.data.fill_(scale)
    with torch.no_grad():
        carried = layer.attend(features, cell_positions(features.shape[2:], ZERO), memory)[0, 0]
    return carried.T.unflatten(1, features.shape[2:])


def test_features_alone_find_the_mask_in_the_same_image():
    features, masks = noise(1, WIDTH, CELLS, CELLS, CELLS), boxes(2)[None]
    carried = attended(features, memory_of(features, masks), POSITION_OFF, scale=6.0)
    torch.testing.assert_close(carried[:2], F.avg_pool3d(masks, 4)[0], atol=0.02, rtol=0)


def test_features_alone_follow_an_image_that_moved():
    features, masks = noise(1, WIDTH, CELLS, CELLS, CELLS), boxes(2)[None]
    moved = features.roll(2, dims=3)
    carried = attended(moved, memory_of(features, masks), POSITION_OFF, scale=6.0)
    torch.testing.assert_close(carried[:2], F.avg_pool3d(masks, 4)[0].roll(2, dims=2), atol=0.02, rtol=0)


def test_position_alone_leaves_the_mask_where_it_was():
    features, masks = torch.ones(1, WIDTH, CELLS, CELLS, CELLS), boxes(2)[None]
    carried = attended(features, memory_of(features, masks), POSITION_ON, scale=0.0)
    torch.testing.assert_close(carried[:2], F.avg_pool3d(masks, 4)[0], atol=1e-3, rtol=0)
    own = cell_positions((CELLS,) * 3, ZERO)[0].T.unflatten(1, (CELLS,) * 3)
    torch.testing.assert_close(carried[2:], own, atol=1e-3, rtol=0)


def test_positions_are_cells_from_the_centre_of_the_field_of_view():
    found = cell_positions((2, 1, 3), torch.tensor([[0.0, 4.0, -8.0]]))[0].reshape(2, 1, 3, 3)
    assert found[0, 0, 0].tolist() == [-0.5, 1.0, -3.0]
    assert found[1, 0, 2].tolist() == [0.5, 1.0, -1.0]


def test_sampling_a_grid_at_its_own_positions_gives_the_grid():
    values, offset, size = noise(1, 2, 3, 4, 5), torch.tensor([[7.0, -2.0, 1.0]]), (3, 4, 5)
    positions = cell_positions(size, offset).transpose(1, 2).unflatten(2, size)
    torch.testing.assert_close(sample(values, positions, offset, size), values, atol=1e-5, rtol=1e-5)


def test_sampling_outside_the_window_gives_zero():
    values, size = torch.ones(1, 1, 4, 4, 4), (4, 4, 4)
    far = cell_positions(size, ZERO + 100).transpose(1, 2).unflatten(2, size)
    assert not sample(values, far, ZERO, size).any()


def test_more_keys_than_the_limit_are_pooled_and_the_mask_stays_where_it_was(monkeypatch):
    features, masks = torch.ones(1, WIDTH, CELLS, CELLS - 1, CELLS), boxes(2)[None][..., : SIDE - 4, :]
    memory = memory_of(features, masks)
    whole = attended(features, memory, POSITION_ON, scale=0.0)
    monkeypatch.setattr(correspondence, "MAX_KEYS", 100)
    pooled = attended(features, memory, POSITION_ON, scale=0.0)
    assert pooled.shape == whole.shape
    assert float(pooled[:2].min()) >= 0 and float(pooled[:2].max()) <= 1
    for k in range(2):
        centre = [(grid[k : k + 1] * whole[2:]).flatten(1).sum(1) / grid[k].sum() for grid in (whole, pooled)]
        torch.testing.assert_close(centre[0], centre[1], atol=0.6, rtol=0)  # cells; pooled ones are 2 wide


def test_an_affine_fit_of_a_pure_shift_is_that_shift():
    own = cell_positions((4, 5, 6), ZERO).transpose(1, 2).unflatten(2, (4, 5, 6))
    shift = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1, 1)
    weight = noise(1, 1, 4, 5, 6).abs() + 0.1
    torch.testing.assert_close(fit_affine(own, own + shift, weight, 0.01), own + shift, atol=1e-4, rtol=1e-4)


def place_prior(query_offset: list[float], reference_offset: list[float]) -> np.ndarray:
    """The place map, at half resolution, of a reference with one marked cell of 2^3 voxels at (8, 8, 8)."""
    model = network()
    masks = torch.zeros(1, 1, SIDE, SIDE, SIDE)
    masks[..., 16:18, 16:18, 16:18] = 1
    with torch.no_grad():
        features = model.encode_image(noise(1, 1, SIDE, SIDE, SIDE))
        memory = model.encode_memory(features, masks, torch.tensor([reference_offset]))
        tokens = model.encode_tokens(features, masks)
        evidence = model.compare(features, memory, torch.tensor([query_offset]))
        decoded = model.decode(features, tokens, evidence)
    return decoded.evidence.maps["place"][0, 0, 0].numpy()


def expected_prior(shift: tuple[int, int, int]) -> np.ndarray:
    """A box blurred twice around (8, 8, 8), moved by a number of cells, by hand."""
    box = np.ones(PLACE_BLUR) / PLACE_BLUR
    triangle = np.convolve(box, box)
    axes = []
    for cells in shift:
        axis = np.zeros(SIDE // 2)
        first = 8 + cells - len(triangle) // 2
        axis[first : first + len(triangle)] = triangle
        axes.append(axis)
    return np.einsum("i,j,k->ijk", *axes)


def test_the_place_prior_is_the_blurred_mask_at_the_same_place():
    np.testing.assert_allclose(place_prior([0, 0, 0], [0, 0, 0]), expected_prior((0, 0, 0)), atol=1e-5)


def test_a_query_window_further_along_sees_the_prior_further_back():
    np.testing.assert_allclose(place_prior([4, 0, -2], [0, 0, 0]), expected_prior((-2, 0, 1)), atol=1e-5)


def test_a_reference_window_further_along_has_its_prior_further_along():
    np.testing.assert_allclose(place_prior([0, 0, 0], [0, 6, 0]), expected_prior((0, 3, 0)), atol=1e-5)


def test_moving_both_windows_alike_moves_nothing():
    np.testing.assert_allclose(
        place_prior([10, 4, -6], [10, 4, -6]), place_prior([0, 0, 0], [0, 0, 0]), atol=1e-5
    )


def test_a_place_matrix_looks_up_the_twice_blurred_grid():
    """The oracle blurs with box means and interpolates with NumPy; both see zeros outside the grid."""
    line, shift = torch.rand(1, 1, 9, 1, 1), torch.tensor([1.3])
    blurred = (box_mean(box_mean(line, 3), 3) * 81).flatten().numpy()  # the two other axes are one cell wide
    where = np.arange(6) - 2.5 + 4 + 1.3  # centres on the same point, then shifted
    expected = np.interp(where, np.arange(-1, 10), np.pad(blurred, 1))
    found = place_matrix(6, 9, shift, 3)[0] @ line.flatten()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
