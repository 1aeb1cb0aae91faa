"""Laws of the fit to edges: it finds a shift, whatever is bright, and leaves alone what agrees or is flat."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.pair_fit.edge_fit import edge_similarity, edges_of, fit_edges, local_mean
from iris_core.inference.stages import EdgeFitSettings

SIDE, STEPS = 32, EdgeFitSettings(edge_steps=24)


def picture(seed: int = 0) -> Tensor:
    """(1, 1, D, H, W): smooth shapes, z-scored."""
    coarse = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(seed))
    image = F.interpolate(coarse, size=(SIDE,) * 3, mode="trilinear")
    return (image - image.mean()) / image.std()


def warper(edges: Tensor):
    """Looks edges up at displaced voxels."""

    def warp(displacement: Tensor) -> Tensor:
        axes = [torch.arange(n) - (n - 1) / 2 for n in edges.shape[2:]]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None] + displacement
        grid = (places / (SIDE / 2)).permute(0, 2, 3, 4, 1).flip(-1)
        return F.grid_sample(edges, grid, align_corners=False)

    return warp


def middle(values: Tensor) -> Tensor:
    return values[..., 6:-6, 6:-6, 6:-6]


@pytest.mark.parametrize("contrast", [1.0, -1.0, 0.4])
def test_a_shift_is_found_whatever_is_bright(contrast):
    image = picture()
    query = edges_of(contrast * image.roll(-2, 2) + 3.0)  # the query's place x lies at x + 2
    found = middle(fit_edges(query, warper(edges_of(image)), STEPS))
    assert abs(float(found[:, 0].mean()) - 2) < 0.3
    assert float(found[:, 1:].abs().mean()) < 0.3


def test_where_all_agrees_nothing_moves():
    edges = edges_of(picture())
    assert float(middle(fit_edges(edges, warper(edges), STEPS)).abs().mean()) < 0.1


def test_no_steps_move_nothing_and_no_gradient_passes():
    edges = edges_of(picture()).requires_grad_()
    assert not fit_edges(edges, warper(edges), EdgeFitSettings(edge_steps=0)).any()
    with torch.no_grad():
        assert not fit_edges(edges, warper(edges), EdgeFitSettings(edge_steps=2)).requires_grad


def test_edges_are_at_most_1_long_and_point_across_the_border():
    image = torch.zeros(1, 1, 8, 8, 8)
    image[:, :, 4:] = 2.0
    edges = edges_of(image)
    assert float(edges.square().sum(1).max()) <= 1
    assert bool((edges[:, 0, 3:5] > 0.99).all()) and not edges[:, 0, :3].any() and not edges[:, 1:].any()


def test_agreement_is_1_with_itself_and_0_where_nothing_is_seen():
    edges = edges_of(picture())
    assert float(edge_similarity(edges, -edges).min()) > 0.9
    assert not edge_similarity(edges, torch.zeros_like(edges)).any()
    other = edge_similarity(edges, edges_of(picture(seed=1)))
    assert float(other.min()) >= 0 and float(other.mean()) < 0.4


def test_a_local_mean_counts_what_lies_inside_alone():
    torch.testing.assert_close(local_mean(torch.ones(1, 2, 5, 6, 7), 2), torch.ones(1, 2, 5, 6, 7))
