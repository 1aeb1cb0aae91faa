"""Laws of the ablation switches: what is left out says nothing, and what is left says what it did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from iris_core.checkpoint import load_model, save_model
from iris_core.config import EMBEDDING_PARTS, ModelConfig
from iris_core.errors import InputError
from iris_core.model.build import build
from iris_core.model.task_encoder import TaskEncoder
from tests.tiny import PLAIN, boxes, noise


def tokens(mask: torch.Tensor, *parts: str) -> torch.Tensor:
    """(K, m + 1, C) of one reference."""
    torch.manual_seed(0)
    encoder = TaskEncoder(replace(PLAIN, embedding_parts=parts)).eval()
    with torch.no_grad():
        return encoder(noise(1, PLAIN.channels[-1], 2, 2, 2, seed=3), mask[None])[0]


def test_a_token_that_is_left_out_is_zero_and_the_others_stay():
    whole = tokens(boxes(), *EMBEDDING_PARTS)
    without_foreground = tokens(boxes(), "high-resolution", "context")
    without_context = tokens(boxes(), "high-resolution", "foreground")
    assert not without_foreground[:, 0].any() and torch.equal(without_foreground[:, 1:], whole[:, 1:])
    assert not without_context[:, 1:].any() and torch.equal(without_context[:, :1], whole[:, :1])


def test_without_high_resolution_only_one_voxel_of_a_cell_is_seen():
    mask = torch.zeros(2, 32, 32, 32)
    mask[0, :16, :16, :16] = 1  # one whole cell
    mask[1, 8, 8, 8] = 1  # the voxel that speaks for it
    coarse = tokens(mask, "foreground", "context")
    assert torch.allclose(coarse[0], coarse[1], atol=1e-6)
    fine = tokens(mask, *EMBEDDING_PARTS)
    assert torch.allclose(fine[0], coarse[0], atol=1e-6) and not torch.allclose(fine[1], coarse[1], atol=1e-3)
    mask[1] = 0
    mask[1, 2:6, 2:6, 2:6] = 1  # small and off the voxel: gone
    assert not tokens(mask, "foreground")[1].any() and tokens(mask, *EMBEDDING_PARTS)[1, 0].any()


def test_a_variant_is_a_checkpoint_like_any_other_and_older_fingerprints_hold(tmp_path):
    assert "embedding_parts" not in PLAIN.to_dict() and ModelConfig.from_dict(PLAIN.to_dict()) == PLAIN
    config = replace(PLAIN, embedding_parts=("foreground",))
    save_model(tmp_path / "a.safetensors", build(config, seed=0), {})
    assert load_model(tmp_path / "a.safetensors").model.config == config


@pytest.mark.parametrize("parts", [(), ("high-resolution",), ("foreground", "queries")])
def test_parts_that_leave_no_token_or_do_not_exist_are_refused(parts):
    with pytest.raises(InputError, match="embedding_parts: no such parts of a task embedding"):
        replace(PLAIN, embedding_parts=parts)
