"""Pose and warp: where each voxel of an image lies in its anatomy."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from iris_core.triple import triple

SQUARINGS = 5


def voxel_grid(shape: tuple[int, int, int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Coordinates (D, H, W, 3) of the voxel centres, in voxels from the centre of the window."""
    axes = [torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def upsampled(coarse: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Trilinear upsampling of (B, C, d, h, w) to (B, C, *shape), corners on corners.

    Three matrix products are faster than interpolate on a CPU.
    """
    batch, channels, d, h, w = coarse.shape
    along = []
    for n, size in zip(coarse.shape[2:], shape, strict=True):
        place = torch.linspace(0, n - 1, size, device=coarse.device).unsqueeze(1)
        along.append((1 - (place - torch.arange(n, device=coarse.device)).abs()).clamp_min(0))  # (size, n)
    values = along[0] @ coarse.reshape(batch * channels, d, h * w)
    values = along[1] @ values.view(-1, h, w)
    return (values.view(-1, w) @ along[2].T).view(batch, channels, *shape)


def smooth_noise(
    nodes: list[tuple[int, int, int]],
    channels: int,
    shape: tuple[int, int, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Smooth noise with mean 0 and standard deviation 1.

    Args:
        nodes: coarse grid of each volume; its length is B.
        channels: C.
        shape: (D, H, W) of the result.
        generator: source of the draw; its device is the device of the result.

    Returns:
        (B, C, D, H, W) float32.
    """
    volumes = []
    for grid in nodes:
        coarse = torch.randn((1, channels, *grid), generator=generator, device=generator.device)
        coarse = coarse / coarse.std().clamp_min(1e-3)
        volumes.append(upsampled(coarse, shape))
    noise = torch.cat(volumes)
    return noise / noise.std(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1e-3)


def sample_at(field: torch.Tensor, points: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Values of a field (B, C, D, H, W) at points (B, d, h, w, 3) in voxels from its centre; edges repeat."""
    half = torch.tensor([(n - 1) / 2 for n in field.shape[2:]], device=field.device).clamp_min(0.5)
    unit = (points / half).flip(-1)  # grid_sample wants the last axis first
    return F.grid_sample(field, unit, mode=mode, padding_mode="border", align_corners=True)


def integrate(velocity: torch.Tensor) -> torch.Tensor:
    """Displacement of a stationary velocity field (B, 3, D, H, W), by scaling and squaring; it does not fold.

    Both are in voxels of the field's own grid.
    """
    shift = velocity / 2**SQUARINGS
    grid = voxel_grid(triple(velocity.shape[2:]), velocity.device)
    for _ in range(SQUARINGS):
        shift = shift + sample_at(shift, grid + shift.permute(0, 2, 3, 4, 1))
    return shift


def draw_displacement(
    shape: tuple[int, int, int],
    amplitudes: np.ndarray,
    spacings: np.ndarray,
    generator: torch.Generator,
) -> torch.Tensor:
    """Smooth displacements without folds.

    Args:
        shape: (D, H, W).
        amplitudes: (B,) standard deviation of the velocity in voxels.
        spacings: (B,) distance in voxels between the nodes of the velocity.
        generator: source of the draw.

    Returns:
        (B, 3, D, H, W) displacement in voxels of the full grid.
    """
    coarse = triple(max(6, round(n / 3)) for n in shape)
    sides = list(zip(shape, coarse, strict=True))
    nodes = [triple(int(np.clip(round(n / s) + 1, 3, most)) for n, most in sides) for s in spacings]
    velocity = smooth_noise(nodes, 3, coarse, generator)
    device = velocity.device
    size = torch.tensor(np.asarray(amplitudes), dtype=torch.float32, device=device).view(-1, 1, 1, 1, 1)
    step = torch.tensor([(n - 1) / (c - 1) for n, c in zip(shape, coarse, strict=True)], device=device)
    step = step.view(1, 3, 1, 1, 1)  # voxels of the full grid per voxel of the coarse grid
    shift = integrate(velocity * size / step) * step
    return upsampled(shift, shape)


def place(
    shape: tuple[int, int, int], matrices: np.ndarray, shifts: np.ndarray, displacement: torch.Tensor
) -> torch.Tensor:
    """Anatomy coordinates of every voxel.

    Args:
        shape: (D, H, W).
        matrices: (B, 3, 3) window axes -> anatomy axes.
        shifts: (B, 3) anatomy point at the centre of the window, voxels.
        displacement: (B, 3, D, H, W).

    Returns:
        (B, D, H, W, 3) float32.
    """
    device = displacement.device
    matrix = torch.tensor(np.asarray(matrices), dtype=torch.float32, device=device)
    shift = torch.tensor(np.asarray(shifts), dtype=torch.float32, device=device)
    grid = voxel_grid(shape, device)
    points = grid.reshape(1, -1, 3) @ matrix.transpose(1, 2) + shift.unsqueeze(1)  # (B, DHW, 3)
    return points.view(-1, *shape, 3).add_(displacement.permute(0, 2, 3, 4, 1))
