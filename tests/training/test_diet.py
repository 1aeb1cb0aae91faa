"""Laws of what the synthesis draws for structures that fail (docs/decisions/0092)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from iris_core.training.synthesis.appearance.brightness import draw_palettes
from iris_core.training.synthesis.families import FAMILIES
from iris_core.training.synthesis.families.specks import ASKED, DECOY
from iris_core.training.synthesis.person_pair import draw_pair

SHAPE = (48, 48, 48)


def anatomies(family: str, count: int = 12):
    return [FAMILIES[family][0](np.random.default_rng(seed), SHAPE) for seed in range(count)]


def test_peers_have_one_volume():
    for anatomy in anatomies("peers"):
        volumes = [float(np.prod(o.radii)) for o in anatomy.objects]
        assert len(volumes) >= 5 and np.median(volumes) > 0.8 * max(volumes)


def test_tubes_are_thin_and_long():
    for anatomy in anatomies("tubes"):
        tubes = [o for o in anatomy.objects if o.label in anatomy.favoured]
        assert len(tubes) >= 3
        for tube in tubes:
            assert tube.radii[1] <= 3 and tube.radii[0] > 3 * tube.radii[1]


def test_specks_are_small_and_many_and_their_likes_lie_in_other_organs():
    decoys = 0
    for anatomy in anatomies("specks"):
        spots = [o for o in anatomy.objects if o.label >= ASKED]
        asked = [o for o in spots if o.label < DECOY]
        assert len(asked) >= 6 and max(float(np.max(o.radii)) for o in spots) < 5
        hosts = {tuple(o.centre) for o in asked}
        assert len(hosts) == 1 and all(o.roam > 0 for o in spots)
        others = [o for o in spots if o.label >= DECOY]
        assert all(tuple(o.centre) not in hosts for o in others)
        decoys += bool(others)
    assert decoys > 6


@pytest.mark.parametrize("family", ["specks", "peers", "tubes"])
def test_labels_that_are_alike_look_the_same_in_both_people(family):
    for seed, anatomy in enumerate(anatomies(family)):
        for palette in draw_palettes(np.random.default_rng(seed), anatomy, 1.0):
            for group in anatomy.alike:
                for values in (palette.mean, palette.texture, palette.grain):
                    assert np.ptp(values[group]) < 1e-6


def test_fields_of_view_of_a_row_often_differ_by_whole_links():
    def far(anatomy, seed: int) -> bool:
        """Whether the two windows lie most of a link apart along the row."""
        one, other = draw_pair(np.random.default_rng(seed), anatomy, SHAPE, 1.0)
        length = np.linalg.norm(link)
        return abs((other.shift - one.shift) @ link) > 0.75 * length**2

    with_links = without = 0
    for seed, anatomy in enumerate(anatomies("chain", 60)):
        link = anatomy.link
        with_links += far(anatomy, seed)
        without += far(replace(anatomy, link=None), seed)
    assert with_links > without + 6
