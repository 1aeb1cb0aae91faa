"""Colours of classes: one palette that the eye can tell apart, and how far apart two colours are.

Distances are Euclidean in CIELAB with D65 white (CIE 1976); about 2 is the least that an eye notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

Color = tuple[int, int, int]

#: Colours of what comes without one, readable over grey: (R, G, B), 0-255. Each colour after the first twelve
#: is the one farthest from all before it that is neither dark nor pale nor grey; none are closer than 19.
PALETTE: tuple[Color, ...] = (
    (230, 75, 53), (77, 187, 213), (0, 160, 135), (244, 205, 64), (132, 94, 194), (243, 155, 127),
    (84, 130, 53), (63, 101, 204), (214, 92, 160), (145, 209, 194), (190, 140, 90), (120, 200, 80),
    (0, 0, 255), (255, 34, 255), (0, 255, 0), (238, 204, 255), (204, 255, 0), (68, 68, 102),
    (0, 255, 187), (119, 51, 51), (0, 85, 255), (255, 136, 0), (238, 238, 170), (255, 0, 119),
    (136, 0, 187), (17, 170, 255), (255, 34, 187), (34, 255, 119), (0, 85, 85), (238, 119, 255),
    (102, 68, 0), (0, 255, 255), (187, 136, 153), (136, 0, 119), (153, 136, 17), (255, 0, 0),
    (170, 17, 68), (136, 34, 0), (170, 0, 255), (102, 102, 68), (68, 204, 0), (119, 136, 187),
    (136, 221, 153), (187, 102, 17), (255, 119, 136), (170, 187, 0), (238, 153, 238), (136, 68, 119),
    (153, 170, 119), (255, 238, 0), (0, 136, 0), (221, 238, 119), (255, 170, 85), (187, 221, 255),
    (0, 119, 153), (0, 187, 102), (170, 170, 255), (153, 102, 255), (255, 0, 68), (187, 255, 102),
    (255, 204, 187), (0, 102, 68), (0, 85, 153), (102, 34, 153),
)  # fmt: skip

APART = 15.0  # a colour that is closer than this to another one counts as the same
BLACK: Color = (0, 0, 0)  # the background
STEP = 17  # between the shades that are tried when the palette is used up
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def lab(colors: Sequence[Color] | np.ndarray) -> np.ndarray:
    """CIELAB of sRGB colours: (N, 3)."""
    shade = np.asarray(colors, dtype=float).reshape(-1, 3) / 255
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    part = linear @ TO_XYZ.T / WHITE
    root = np.where(part > (6 / 29) ** 3, np.cbrt(part), part / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def nearest(color: Color, others: Iterable[Color]) -> float:
    """The distance of a colour to the nearest of others; infinite where there are none."""
    others = list(others)
    return float(np.linalg.norm(lab(others) - lab([color]), axis=1).min()) if others else float("inf")


def color_for(name: str, used: Iterable[Color]) -> Color:
    """A colour for a class that has none, the same for the same name wherever that is free.

    It is the first colour of the palette, from a place that the name decides, that resembles no colour of the
    other classes; where there is none, the colour farthest from all of theirs.
    """
    used = [BLACK, *used]
    start = hashlib.sha256(name.encode()).digest()[0]
    turned = [PALETTE[(start + step) % len(PALETTE)] for step in range(len(PALETTE))]
    free = next((color for color in turned if nearest(color, used) >= APART), None)
    return free or _farthest(used)


def _farthest(used: Sequence[Color]) -> Color:
    shades = np.arange(0, 256, STEP)
    all_colors = np.stack(np.meshgrid(shades, shades, shades, indexing="ij"), axis=-1).reshape(-1, 3)
    place = lab(all_colors)
    distance = np.full(len(place), np.inf)
    for other in lab(used):
        distance = np.minimum(distance, np.linalg.norm(place - other, axis=1))
    red, green, blue = (int(shade) for shade in all_colors[int(distance.argmax())])
    return red, green, blue
