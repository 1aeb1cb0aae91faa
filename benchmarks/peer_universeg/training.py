"""Trains the network on synthetic slices for a number of processor minutes, and goes on where it stopped."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peer_universeg.network import SIDE, STAGES, WIDTH, UniverSeg, load, save
from benchmarks.peer_universeg.slice_episode import SliceEpisode, draw_episode
from iris_core.training.pretraining.average import WeightAverage

LOG = logging.getLogger(__name__)

CLIP, WARMUP, POWER, FLOOR = 1.0, 50, 0.9, 0.02
CONTROL_SEED = 90210
GROWTH = ((0.5, 4), (0.8, 2), (1.0, 1))  # until this share of the time: what sides are divided by


@dataclass(frozen=True)
class Settings:
    """One segment of a training.

    Attributes:
        output: folder of weights.safetensors, log.jsonl and curve.png.
        minutes: processor minutes in all, over all segments.
        rate: peak of Adam's learning rate.
        batch: query slices a step at a quarter of the side; half of it at half, a quarter at the full side.
        references: most reference slices of a query slice; each step draws between half and all.
        side: of a slice, pixels.
        width: channels of the network.
        stages: of the network.
        bfloat16: compute in bfloat16, twice as fast on processors that have it; weights stay float32.
        seed: of weights and tasks.
        log_every: steps between control figures.
        controls: control episodes of two slices.
    """

    output: Path
    minutes: float = 60.0
    rate: float = 1e-3
    batch: int = 8
    references: int = 6
    side: int = SIDE
    width: int = WIDTH
    stages: int = STAGES
    bfloat16: bool = False
    seed: int = 0
    log_every: int = 100
    controls: int = 8


def train(settings: Settings) -> Path:
    """Runs until the minutes are spent.

    Returns:
        The weights, averaged over the last steps.
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    path = settings.output / "weights.safetensors"
    torch.manual_seed(settings.seed)
    network, done = (
        load(path)
        if path.is_file()
        else (UniverSeg(settings.width, settings.stages), {"steps": 0, "seconds": 0})
    )
    network.train()
    average = WeightAverage(network, 0.99)
    optimiser = torch.optim.Adam(network.parameters(), settings.rate)
    source = torch.Generator().manual_seed(settings.seed * 1000003 + int(done["steps"]))
    controls = _control_episodes(settings)
    base, started, fresh, losses = done["seconds"], time.process_time(), 0, []
    while (progress := done["seconds"] / (60 * settings.minutes)) < 1:
        divisor = next(divisor for until, divisor in GROWTH if progress < until)
        rate = settings.rate * max(FLOOR, (1 - progress) ** POWER) * min(1, (fresh + 1) / WARMUP)
        optimiser.param_groups[0]["lr"] = rate
        least = max(1, settings.references // 2)
        episode = draw_episode(
            source,
            batch=max(1, settings.batch * divisor // 4),
            references=int(torch.randint(least, settings.references + 1, (), generator=source)),
            side=settings.side // divisor,
            progress=progress,
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            logits = network(episode.query, episode.images, episode.masks)
        loss = loss_of(logits.float(), episode.truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)):
            optimiser.step()
            average.update(network)
            losses.append(loss.item())
        fresh += 1
        done = {"steps": done["steps"] + 1, "seconds": base + time.process_time() - started}
        if done["steps"] % settings.log_every == 0:
            save(path, average.model, done)
            _report(settings, average.model, done, controls, losses)
            losses = []
    save(path, average.model, done)
    _report(settings, average.model, done, controls, losses)
    _draw(settings.output)
    return path


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy, and soft Dice where the query slice shows the class: (B, H, W) both -> ().

    Departs from the published training, which has soft Dice alone: its slices all show their class, while
    here a slice without it must come out empty.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, truth)
    shows = truth.flatten(1).sum(1) > 0
    if shows.any():
        p, t = logits[shows].sigmoid().flatten(1), truth[shows].flatten(1)
        loss = loss + (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()
    return loss


@torch.no_grad()
def control_figures(network: UniverSeg, episodes: list[SliceEpisode]) -> dict[str, float]:
    """Dice on fixed slices that show the class.

    Returns:
        own: with its references; rolled: with their masks moved by half a slice; copy: of their mean mask.
    """
    found: dict[str, list[float]] = {"own": [], "rolled": [], "copy": []}
    for one in episodes:
        moved = one.masks.roll([one.masks.shape[-1] // 2] * 2, dims=(-2, -1))
        results = {
            "own": network(one.query, one.images, one.masks) > 0,
            "rolled": network(one.query, one.images, moved) > 0,
            "copy": one.masks[:, :, 0].mean(1) > 0.5,
        }
        truth = one.truth > 0.5
        for name, result in results.items():
            for mine, its in zip(result, truth, strict=True):
                if its.any():
                    found[name].append(float(2 * (mine & its).sum() / (mine.sum() + its.sum())))
    return {name: round(sum(v) / len(v), 4) for name, v in found.items() if v}


def _control_episodes(settings: Settings) -> list[SliceEpisode]:
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    return [
        draw_episode(generator, batch=2, references=settings.references, side=settings.side)
        for _ in range(settings.controls)
    ]


def _report(settings: Settings, network: UniverSeg, done: dict, controls: list, losses: list[float]) -> None:
    line = {
        "steps": int(done["steps"]),
        "minutes": round(done["seconds"] / 60, 2),
        "loss": round(sum(losses) / max(1, len(losses)), 4),
        **control_figures(network, controls),
    }
    with open(settings.output / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    LOG.info("%s", line)


def _draw(folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    figure, axis = pyplot.subplots(figsize=(6, 4))
    for name in ("own", "rolled", "copy"):
        axis.plot([row["minutes"] for row in rows], [row.get(name) for row in rows], label=name)
    axis.set(xlabel="processor minutes", ylabel="Dice, held-back synthetic slices", ylim=(0, 1))
    axis.legend()
    figure.tight_layout()
    figure.savefig(folder / "curve.png", dpi=80)
    pyplot.close(figure)
