"""Control episodes are never drawn again, and their files give what was written."""

from __future__ import annotations

import hashlib

import pytest
import torch

from benchmarks.control_episodes import FOLDER, IMAGES, MASKS, OTHERS, SETS, read_episodes, write_episodes
from iris_core.training.synthesis import synthesise

WRITTEN = {  # sha256 of the files as they were written
    "first": "80bf1f75d6eac6e267e12bbbccd2ec3433bcffc4f6f394564b04e367104ee0bb",
    "second": "cf1e175c1ea498483e86f80476902867c52bf3397cd72da98285de20b44dd0d2",
}


@pytest.mark.parametrize("name", SETS)
def test_a_control_set_is_the_file_that_was_written_first(name):
    assert hashlib.sha256((FOLDER / f"{name}.npz").read_bytes()).hexdigest() == WRITTEN[name]


@pytest.mark.parametrize(("name", "episodes"), [("first", 24), ("second", 20)])
def test_a_control_set_holds_usable_episodes(name, episodes):
    batches = read_episodes(FOLDER / f"{name}.npz")
    assert sum(len(batch.family) for batch in batches) == episodes
    for batch in batches:
        for image in (batch.reference_image, batch.query_image):
            covered = image[image.abs() > 0.02]  # padding is 0 to half a step
            assert abs(float(covered.mean())) < 0.05 and abs(float(covered.std()) - 1) < 0.1
        held = batch.reference_mask.flatten(2).any(-1)
        assert torch.equal(held, batch.valid)
        assert torch.equal(batch.query_mask.flatten(2).sum(-1) >= 8, batch.present)


def test_a_file_gives_back_masks_exactly_and_images_to_half_a_step(tmp_path):
    drawn = [synthesise(2, 3, (16, 32, 48), torch.Generator().manual_seed(s)) for s in (1, 2)]
    write_episodes(tmp_path / "some.npz", drawn)
    for batch, again in zip(drawn, read_episodes(tmp_path / "some.npz"), strict=True):
        assert again.family == batch.family
        for name in (*MASKS, *OTHERS):
            assert torch.equal(getattr(batch, name), getattr(again, name)), name
        for name in IMAGES:
            own = getattr(batch, name)
            step = (own.amax((1, 2, 3, 4)) - own.amin((1, 2, 3, 4))) / 255
            worst = (own - getattr(again, name)).abs().amax((1, 2, 3, 4))
            assert bool((worst <= 0.51 * step).all()), name
