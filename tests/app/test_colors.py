"""Colours: far apart, the same for the same name, and a reference's own only where nothing resembles it."""

from __future__ import annotations

import itertools

import numpy as np

from apps.iris_app.catalogue.catalogue import Catalogue
from apps.iris_app.catalogue.class_register import ClassRegister, with_colors
from iris_core.volume.colors import APART, PALETTE, color_for, lab, nearest
from tests.app_folder import AppFolder


def closest(colors) -> float:
    return min(nearest(a, [b]) for a, b in itertools.combinations(colors, 2))


def test_lab_agrees_with_known_values():
    """Red, green, blue and white of sRGB under D65, as tables give them."""
    told = lab([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    assert np.allclose(told, expected, atol=0.05)


def test_no_two_colours_of_the_palette_resemble_each_other():
    assert len(PALETTE) == 64 and closest(PALETTE) > 19


def test_a_hundred_classes_have_a_hundred_distinguishable_colours():
    register = ClassRegister()
    numbers = [register.add(f"structure {number}") for number in range(100)]
    assert closest([register.color(number) for number in numbers]) > 10
    sixty = [register.color(number) for number in numbers[:60]]
    assert closest(sixty) >= APART


def test_a_class_keeps_its_colour_in_whatever_order_the_names_come():
    names = ["liver", "spleen", "left kidney", "aorta"]
    one, other = ClassRegister(), ClassRegister()
    for name in names:
        one.add(name)
    for name in reversed(names):
        other.add(name.upper().replace(" ", "_"))
    for name in names:
        assert one.color(one.numbers[name]) == other.color(other.add(name)) == color_for(name, [])


def test_a_reference_brings_its_colour_unless_another_class_has_one_like_it():
    register = ClassRegister()
    liver, spleen = register.add("liver"), register.add("spleen")
    taken = register.color(spleen)
    close = tuple(min(255, shade + 3) for shade in taken)
    register.add("liver", close)
    assert register.color(liver) == color_for("liver", [])
    register.add("liver", (2, 2, 2))
    assert register.color(liver) == color_for("liver", []), "black is the background"
    own = next(c for c in PALETTE if nearest(c, [taken]) > 60)
    register.add("liver", own)
    assert register.color(liver) == own
    register.add("liver", next(c for c in PALETTE if nearest(c, [taken, own]) > 60))
    assert register.color(liver) == own, "the first reference decides"
    register.add("aorta", own)
    assert nearest(register.color(register.numbers["aorta"]), [own, taken]) >= APART


def test_colours_are_the_same_after_a_restart(tmp_path):
    folder = AppFolder(tmp_path)
    folder.label("case_1", names={1: "liver", 4: "spleen"})
    folder.catalogue.register.add("liver", (255, 0, 119))
    folder.label("case_2", names={1: "liver", 4: "aorta"})
    again = Catalogue(folder.state)
    assert again.register.entries == folder.catalogue.register.entries
    assert again.register.color(1) == (255, 0, 119)


def test_a_submitted_label_gets_the_colours_of_its_classes():
    register = ClassRegister([("liver", (10, 200, 30), True)])
    info = {"label_info": [{"name": "Liver", "idx": 3}, {"name": "new", "idx": 1}, "x", {"idx": 2}], "a": 1}
    told = with_colors(info, register)
    assert told["a"] == 1 and told["label_info"][0]["color"] == [10, 200, 30]
    assert told["label_info"][1]["color"] == list(color_for("new", []))
    assert told["label_info"][2:] == ["x", {"idx": 2}] and list(register.numbers) == ["liver"]
    assert with_colors({"label_info": "x"}, register) == {"label_info": "x"}
