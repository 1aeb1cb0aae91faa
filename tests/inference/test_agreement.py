"""Laws of the judge of rival places: the right one agrees best, whatever is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from iris_core.inference.alignment.rivals import place_score
from iris_core.inference.settings import DEFAULTS
from tests.tiny import network, noise

SIDE = 48


@pytest.fixture(scope="module")
def pair():
    """A smooth scene as reference and query: the network, the query's pyramid and the reference's memory."""
    model = network()
    image = torch.nn.functional.avg_pool3d(noise(1, 1, SIDE, SIDE, SIDE, seed=4), 5, 1, 2) * 6
    masks = torch.zeros(1, 2, SIDE, SIDE, SIDE)
    masks[:, 0, 12:24, 16:28, 20:32] = 1
    masks[:, 1, 24:36, 16:28, 20:32] = 1
    with torch.no_grad():
        features = model.encode_image(image)
        memory = model.encode_memory(features, masks, torch.zeros(1, 3))
    return model, features.pyramid, memory


def judge(pair, steps: int = 0):
    model, (fine, coarse, *_), _ = pair
    settings = DEFAULTS.changed([f"feature_fit.fit_steps={steps}"])
    return lambda memory: place_score(model.correspondence, coarse, fine, torch.zeros(3), memory, settings)


@torch.no_grad()
def test_the_place_that_is_right_agrees_better_than_one_beside_it(pair):
    found, memory = judge(pair), pair[2]
    here = found(memory)
    assert -1 <= here <= 1
    for move in ((16.0, 0, 0), (0, -16.0, 0), (0, 0, 24.0)):
        assert found(replace(memory, offset=memory.offset - torch.tensor([move]))) < here


@torch.no_grad()
def test_which_classes_are_asked_for_plays_no_part(pair):
    memory = pair[2]
    alone = replace(memory, masks=memory.masks[:, :1], prototypes=memory.prototypes[:, :1])
    assert judge(pair)(alone) == judge(pair)(memory)


@torch.no_grad()
def test_the_fit_takes_part_in_it(pair):
    aside = replace(pair[2], offset=pair[2].offset - 3.0)
    assert judge(pair, steps=12)(aside) > judge(pair)(aside)
