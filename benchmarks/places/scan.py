"""Scans one person of a body: a field of view on a grid, noise, and which landmarks the field shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.analyses.bench.studies import Study
from benchmarks.places.worlds import Body
from iris_core.volume.volume import LabelVolume, Volume
from sample_data import abdomen, head
from sample_data.canvas import Canvas
from sample_data.subject import Subject

STATURE = 0.12  # relative spread of a person's size, by axis
WARP = 3.0  # mm


@dataclass(frozen=True)
class Field:
    """A field of view.

    Attributes:
        centre: (x, y, z) in the average person, mm.
        extent: its sides, mm.
        spacing: voxel size, mm.
        turn: how the patient lies turned in it about x, y and z, degrees. The affine does not know of it.
    """

    centre: tuple[float, float, float]
    extent: tuple[float, float, float]
    spacing: tuple[float, float, float]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Scanned:
    """A labelled study, and the names of the landmarks that lie in its field of view."""

    study: Study
    landmarks: frozenset[str]


def scan(body: Body, field: Field, name: str, rng: np.random.Generator) -> Scanned:
    """Draws a person and scans them."""
    subject = Subject(rng, STATURE, WARP)
    shape = tuple(max(6, round(a / b)) for a, b in zip(field.extent, field.spacing, strict=True))
    affine = np.diag([*field.spacing, 1.0])
    middle = np.asarray(field.centre) * subject.scale
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    turn = Rotation.from_euler("xyz", field.turn, degrees=True).as_matrix()
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = (voxels @ affine[:3, :3].T + affine[:3, 3] - middle) @ turn.T + middle
    canvas = Canvas(subject.to_atlas(points), edge=float(np.prod(field.spacing) ** (1 / 3)))
    body.paint(canvas, subject)
    degrade = abdomen.degrade if body.contrast == "ct" else head.degrade
    image = degrade(canvas.image, rng).astype(np.float32)
    affine[:3, 3] -= middle  # fields of view do not say where in the patient they lie
    label = LabelVolume(canvas.label, affine, body.names)
    study = Study(name, type(body).__name__.lower(), Volume(image, affine), label)
    half = np.array(shape) * field.spacing / 2
    shown = {
        one.name
        for one in body.landmarks
        if np.all(np.abs(turn.T @ (np.asarray(one.place) * subject.scale - middle)) < half)
    }
    return Scanned(study, frozenset(shown))
