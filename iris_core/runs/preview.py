"""Pictures to judge a segmentation by: three slices with the classes over them, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import generate_binary_structure, morphological_gradient

from iris_core.volume.boxes import box_around, slices_of
from iris_core.volume.orientation import to_canonical
from iris_core.volume.volume import LabelVolume, Volume, canonical_spacing
from iris_core.volume_io import atomic_path

PANEL = 300  # pixels, side of one slice
MARGIN = 8
LEGEND_ROW = 18
LEGEND_WIDTH = 215
FILL = 0.35  # opacity of a class inside its outline
BLACK = 0.05  # grey values up to here count as padding
BACKGROUND = (17, 18, 20)
INK = (232, 232, 232)
#: For each canonical axis cut: name, the axes that run right and up on screen, and the letters at the edges
#: (left, right, top, bottom). Patients are seen from their feet and from the front, as radiologists do.
VIEWS = {
    2: ("axial", (0, 1), "RLAP"),
    1: ("coronal", (0, 2), "RLSI"),
    0: ("sagittal", (1, 2), "APSI"),
}


def overlay(image: Volume, label: LabelVolume, *, title: str = "") -> Image.Image:
    """Draws the slices that show most of a label on its image, axial, coronal and sagittal, with a legend.

    Classes are drawn in their colours; the title is a line above the slices.
    """
    voxels = to_canonical(image.array, image.affine)
    classes = to_canonical(label.array, label.affine)
    spacing = canonical_spacing(image.affine)
    low, high = _window(voxels)
    grey = np.clip((voxels - low) / (high - low), 0, 1)
    shown = box_around((grey > BLACK) | (classes != 0))  # padding would make the slices small
    box = slices_of(shown) if shown else (slice(None),) * 3
    parts = [_panel(grey, classes, spacing, axis, label, box) for axis in VIEWS]
    parts += [legend] if (legend := _legend(label)) else []
    left, top = MARGIN, MARGIN + (LEGEND_ROW if title else 0)
    width = MARGIN + sum(part.width + MARGIN for part in parts)
    sheet = Image.new("RGB", (width, top + PANEL + MARGIN), BACKGROUND)
    if title:
        ImageDraw.Draw(sheet).text((MARGIN, 4), title, fill=INK, font=ImageFont.load_default(13))
    for part in parts:
        sheet.paste(part, (left, top))
        left += part.width + MARGIN
    return sheet


def contact_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Puts pictures on one sheet, one below the other, each in a row as high as the highest."""
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    sheet = Image.new("RGB", (width, len(pictures) * height), BACKGROUND)
    for row, picture in enumerate(pictures):
        sheet.paste(picture, (0, row * height))
    return sheet


def save_picture(picture: Image.Image, path: str | Path) -> None:
    """Writes a PNG, whole or not at all.

    Raises:
        InputError: the place cannot be written to.
    """
    with atomic_path(path) as hidden:
        picture.save(hidden, format="PNG", optimize=True)


def best_slice(classes: np.ndarray, axis: int) -> int:
    """The index along an axis whose slice shows most classes, and of those most labelled voxels.

    Of an empty label map it is the middle one.
    """
    if not classes.any():
        return classes.shape[axis] // 2
    slices = np.moveaxis(classes, axis, 0).reshape(classes.shape[axis], -1)
    shown = np.zeros(len(slices), dtype=np.int64)
    for value in np.unique(classes[classes != 0]):
        shown += (slices == value).any(axis=1)
    return int(np.argmax(shown * slices.shape[1] + np.count_nonzero(slices, axis=1)))


def _panel(
    grey: np.ndarray,
    classes: np.ndarray,
    spacing: Sequence[float],
    axis: int,
    label: LabelVolume,
    box: Sequence[slice],
) -> Image.Image:
    """One slice of what lies in the box: true proportions, fitted into a square."""
    name, (right, up), letters = VIEWS[axis]
    index = best_slice(classes, axis)
    window = (box[right], box[up])
    picture = _on_screen(np.take(grey, index, axis)[window])
    values = _on_screen(np.take(classes, index, axis)[window])
    extent = np.array([picture.shape[1] * spacing[right], picture.shape[0] * spacing[up]])
    width, height = (int(side) for side in np.maximum(1, np.round(extent / extent.max() * PANEL)))
    size = (width, height)
    base = Image.fromarray((picture * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    rgb = np.repeat(np.asarray(base, dtype=np.float32)[..., None], 3, axis=2)
    enlarged = np.asarray(Image.fromarray(values.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    edge = morphological_gradient(enlarged, footprint=generate_binary_structure(2, 1)) > 0
    for value in np.unique(enlarged[enlarged != 0]):
        inside, color = enlarged == value, np.array(label.color_of(int(value)), dtype=np.float32)
        rgb[inside] = (1 - FILL) * rgb[inside] + FILL * color
        rgb[inside & edge] = color
    panel = Image.new("RGB", (PANEL, PANEL), (0, 0, 0))
    panel.paste(Image.fromarray(rgb.astype(np.uint8)), ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    _write_letters(panel, f"{name} {index}", letters)
    return panel


def _on_screen(plane: np.ndarray) -> np.ndarray:
    """(right or front, up) to (row, column): up on top, the patient's right or front to the left."""
    return plane.T[::-1, ::-1]


def _write_letters(panel: Image.Image, caption: str, letters: str) -> None:
    """Letters at the edges and a caption, dark-rimmed so that they can be read over bright tissue."""
    draw, middle, font = ImageDraw.Draw(panel), PANEL // 2, ImageFont.load_default(11)
    ink: dict[str, Any] = {"fill": INK, "font": font, "stroke_width": 1, "stroke_fill": BACKGROUND}
    places = ((3, middle, "lm"), (PANEL - 3, middle, "rm"), (middle, 3, "mt"), (middle, PANEL - 3, "mb"))
    for letter, (x, y, anchor) in zip(letters, places, strict=True):
        draw.text((x, y), letter, anchor=anchor, **ink)
    draw.text((4, PANEL - 4), caption, anchor="ls", **ink)


def _legend(label: LabelVolume) -> Image.Image | None:
    """A coloured box, name and volume in ml for each class that has a name or a voxel; None without any."""
    counts = dict(zip(*(part.tolist() for part in np.unique(label.array, return_counts=True)), strict=True))
    values = sorted((set(counts) | set(label.names)) - {0})
    if not values:
        return None
    rows = PANEL // LEGEND_ROW
    columns = -(-len(values) // rows)
    legend = Image.new("RGB", (columns * LEGEND_WIDTH, PANEL), BACKGROUND)
    draw, font = ImageDraw.Draw(legend), ImageFont.load_default(12)
    for index, value in enumerate(values):
        x, y = (index // rows) * LEGEND_WIDTH, (index % rows) * LEGEND_ROW
        draw.rectangle((x, y + 3, x + 11, y + 14), fill=tuple(label.color_of(value)))
        millilitres = counts.get(value, 0) * float(np.prod(label.spacing)) / 1000
        text = f"{label.names.get(value, str(value))[:20]}  {millilitres:.{1 if millilitres >= 1 else 3}f} ml"
        draw.text((x + 17, y + 1), text, fill=INK if value in counts else (130, 130, 130), font=font)
    return legend


def _window(voxels: np.ndarray) -> tuple[float, float]:
    """The grey values drawn black and white: 1st and 99th percentile of all above the background."""
    inside = voxels[voxels > voxels.min()]
    sample = inside[:: max(1, inside.size // 200_000)] if inside.size else voxels.ravel()
    low, high = (float(value) for value in np.percentile(sample, [1, 99]))
    return low, high if high > low else low + 1.0
