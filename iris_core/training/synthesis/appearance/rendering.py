"""Rendering: label volumes in, z-scored images out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from iris_core.config import CT_CLIP
from iris_core.training.synthesis.anatomy import Anatomy
from iris_core.training.synthesis.appearance.brightness import Palette, draw_palettes
from iris_core.training.synthesis.deformation import smooth_noise
from iris_core.training.synthesis.draws import log_uniform
from iris_core.triple import triple

LOW_SHARE = 0.3  # images in thick slices
LOW_FACTORS = (2, 3, 4, 4, 5, 6, 7)  # voxels a slice, 3 to 10 mm at 1.5 mm


@dataclass
class Scan:
    """How a scanner shows the labels of one person."""

    palette: Palette  # brightness and texture of every label
    texture_scale: float  # size in voxels of the coarse texture
    bias: float  # strength of the bias field (log), 0 for none
    noise: float  # standard deviation of the noise
    rician: bool  # noise of a magnitude image rather than Gaussian
    blur: np.ndarray  # standard deviations in voxels, one an axis
    low_axis: int | None  # axis of thick slices, or None
    low_factor: int  # voxels per thick slice
    zero_air: bool  # label 0 is exactly zero


def draw_scans(rng: np.random.Generator, anatomy: Anatomy, progress: float) -> tuple[Scan, Scan]:
    """The scans of reference and query."""
    palettes = draw_palettes(rng, anatomy, progress)
    zero_air = bool(rng.random() < 0.3)
    first, second = (_draw_scan(rng, palette, zero_air) for palette in palettes)
    return first, second


def _draw_scan(rng: np.random.Generator, palette: Palette, zero_air: bool) -> Scan:
    low = rng.random() < LOW_SHARE
    return Scan(
        palette=palette,
        texture_scale=log_uniform(rng, 4, 32),
        bias=0.0 if palette.ct else float(abs(rng.normal(0, 0.3))),
        noise=float(rng.uniform(8, 40) if palette.ct else log_uniform(rng, 0.008, 0.07)),
        rician=bool(not palette.ct and rng.random() < 0.5),
        blur=rng.uniform(0.3, 1.0) * rng.uniform(0.8, 1.2, 3),
        low_axis=int(rng.integers(3)) if low else None,
        low_factor=int(rng.choice(LOW_FACTORS)),
        zero_air=zero_air and not palette.ct,
    )


def render(
    labels: torch.Tensor,
    detail: torch.Tensor,
    scans: list[Scan],
    boxes: np.ndarray,
    generator: torch.Generator,
) -> torch.Tensor:
    """Images of label volumes, normalised as the shipped preprocessing does.

    Args:
        labels: (B, D, H, W) uint8.
        detail: (B, D, H, W), see `detail_maps`.
        scans: B of them.
        boxes: (B, 3, 2) what each image covers; outside it the result is 0.
        generator: source of texture, bias and noise; on the device of `labels`.

    Returns:
        (B, 1, D, H, W) float32 with mean 0 and standard deviation 1 inside the box.
    """
    device, shape = labels.device, tuple(labels.shape[1:])
    flat = labels.flatten(1).long()

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1, 1)

    def lookup(tables: list[np.ndarray]) -> torch.Tensor:
        table = torch.tensor(np.stack(tables), dtype=torch.float32, device=device)
        return table.gather(1, flat).view(labels.shape)

    nodes = [triple(max(2, round(n / scan.texture_scale) + 1) for n in shape) for scan in scans]
    texture = smooth_noise(nodes, 1, triple(shape), generator).squeeze(1)
    grain = torch.randn(labels.shape, generator=generator, device=device)
    coarse = lookup([scan.palette.texture for scan in scans])
    fine = lookup([scan.palette.grain for scan in scans])
    image = lookup([scan.palette.mean for scan in scans]) + coarse * texture + fine * grain
    image = image + detail * column([scan.palette.detail for scan in scans]) * (labels != 0)
    blurs = np.stack([scan.blur for scan in scans])
    image = blur(image, torch.tensor(blurs, dtype=torch.float32, device=device))
    bias = smooth_noise([(4, 4, 4)] * len(scans), 1, triple(shape), generator).squeeze(1)
    image = image * torch.exp(bias * column([scan.bias for scan in scans]))
    image = _noisy(image, column([scan.noise for scan in scans]), scans, generator)
    for one, scan in zip(image, scans, strict=True):
        if scan.low_axis is not None:
            one.copy_(thick_slices(one, scan.low_axis, scan.low_factor))
    zero = column([float(scan.zero_air) for scan in scans]) * (labels == 0)
    image = image * (1 - zero)
    return _normalise(image, scans, boxes)


def _noisy(
    image: torch.Tensor, sd: torch.Tensor, scans: list[Scan], generator: torch.Generator
) -> torch.Tensor:
    """The images with noise of a standard deviation (B, 1, 1, 1) each, Gaussian or Rician."""
    noisy = image + sd * torch.randn(image.shape, generator=generator, device=image.device)
    rician = [i for i, scan in enumerate(scans) if scan.rician]
    if rician:
        other = sd[rician] * torch.randn(noisy[rician].shape, generator=generator, device=image.device)
        noisy[rician] = torch.sqrt(noisy[rician] ** 2 + other**2)
    return noisy


def blur(image: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of images (B, D, H, W), five taps an axis; sd (B, 3) in voxels, up to about 1.2."""
    for axis in range(3):
        weights = torch.exp(-0.5 * (torch.arange(3, device=image.device) / sd[:, axis : axis + 1]).square())
        weights = weights / (weights[:, :1] + 2 * weights[:, 1:].sum(1, keepdim=True))
        w0, w1, w2 = weights.view(-1, 3, 1, 1, 1).unbind(1)
        pad = [0, 0, 0, 0, 0, 0]
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = 2
        wide = F.pad(image.unsqueeze(1), pad, mode="replicate").squeeze(1)
        n = image.shape[axis + 1]
        tap = [wide.narrow(axis + 1, start, n) for start in range(5)]
        image = w0 * tap[2] + w1 * (tap[1] + tap[3]) + w2 * (tap[0] + tap[4])
    return image


def thick_slices(image: torch.Tensor, axis: int, factor: int) -> torch.Tensor:
    """One image (D, H, W) as if taken in slices of `factor` voxels and resampled."""
    moved = image.movedim(axis, -1)
    lines = moved.reshape(-1, 1, moved.shape[-1])
    low = F.avg_pool1d(lines, factor, ceil_mode=True)
    return F.interpolate(low, size=moved.shape[-1], mode="linear").view(moved.shape).movedim(-1, axis)


def _normalise(image: torch.Tensor, scans: list[Scan], boxes: np.ndarray) -> torch.Tensor:
    """Clip and z-score inside each box, zero outside."""
    result = torch.zeros_like(image)
    for one, scan, box, out in zip(image, scans, boxes, result, strict=True):
        (a, b), (c, d), (e, f) = box.tolist()
        part = one[a:b, c:d, e:f]
        if scan.palette.ct:
            part = part.clamp(*CT_CLIP)
        else:
            some = part[::3, ::2, ::2].flatten()
            low, high = torch.quantile(some, torch.tensor([0.02, 0.98], device=image.device))
            part = torch.minimum(torch.maximum(part, low), high)
        out[a:b, c:d, e:f] = (part - part.mean()) / part.std().clamp_min(1e-6)
    return result.unsqueeze(1)
