"""Laws of the fitted field: it finds a smooth shift, stays where all agrees, and knows nothing of classes."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from iris_core.inference.pair_fit.feature_fit import fit_field
from iris_core.inference.stages import FeatureFitSettings
from iris_core.model.correspondence import cell_positions, sample

CELLS, WIDTH, STEPS = 12, 8, FeatureFitSettings(fit_steps=24)
NONE, TWO = FeatureFitSettings(fit_steps=0), FeatureFitSettings(fit_steps=2)


def features(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth features at strides 4 and 2 of a volume of 48^3."""
    coarse = torch.randn(1, WIDTH, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, size=(2 * CELLS,) * 3, mode="trilinear")
    return F.avg_pool3d(fine, 2), fine[:, : WIDTH // 2]


def look(values: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return sample(values, at, torch.zeros(1, 3), (CELLS,) * 3)


def own_positions() -> torch.Tensor:
    return cell_positions((CELLS,) * 3, torch.zeros(1, 3)).transpose(1, 2).unflatten(2, (CELLS,) * 3)


def middle(field: torch.Tensor) -> torch.Tensor:
    return field[..., 6:-6, 6:-6, 6:-6]


def test_a_shift_of_one_cell_is_found():
    coarse, fine = features()
    moved = tuple(m.roll(-n, 2) for m, n in ((coarse, 1), (fine, 2)))  # the query's place x lies at x + 1
    zero = torch.zeros(1, 3, *(2 * CELLS,) * 3)
    field = middle(fit_field(moved, (coarse, fine), own_positions(), zero, look, STEPS))
    assert abs(float(field[:, 0].mean()) - 1) < 0.2
    assert float(field[:, 1:].abs().mean()) < 0.2


def test_where_all_agrees_nothing_moves():
    both = features()
    zero = torch.zeros(1, 3, *(2 * CELLS,) * 3)
    assert float(middle(fit_field(both, both, own_positions(), zero, look, STEPS)).abs().mean()) < 0.05


def test_no_steps_leave_the_field_and_no_gradient_passes():
    both = tuple(m.requires_grad_() for m in features())
    start = torch.randn(1, 3, *(2 * CELLS,) * 3)
    assert torch.equal(fit_field(both, both, own_positions(), start, look, NONE), start)
    with torch.no_grad():
        assert not fit_field(both, both, own_positions(), start, look, TWO).requires_grad
