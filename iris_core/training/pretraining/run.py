"""The loop of `iris pretrain`: synthetic tasks in, checkpoints, a log and control figures out."""

from __future__ import annotations

import json
import logging
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from iris_core.allocator import reuse_memory
from iris_core.checkpoint import load_model, save_model
from iris_core.config import ModelConfig, preset
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.model.layers import in_channels_last
from iris_core.training.pretraining.average import WeightAverage
from iris_core.training.pretraining.budget import Budget
from iris_core.training.pretraining.controls import control_figures
from iris_core.training.pretraining.curve import draw_curve
from iris_core.training.pretraining.settings import Settings
from iris_core.training.pretraining.step import loss_of
from iris_core.training.pretraining.workers import Team
from iris_core.training.synthesis import synthesise

log = logging.getLogger(__name__)

CLIP = 1.0  # gradient norm
POWER = 0.9  # of the polynomial decay
FLOOR = 0.02  # of the learning rate, at the end
CONTROL_SEED, CONTROL_BATCHES = 90210, 6
SKIPS_IN_A_ROW = 5


def run(settings: Settings) -> Path:
    """Trains for the minutes, or the steps, given.

    Returns:
        The checkpoint, settings.output / "last.safetensors".
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.workers == 1:
        _segment(settings, rank=0)
    else:
        with tempfile.TemporaryDirectory() as folder:
            arguments = (settings, f"file://{folder}/meet")
            torch.multiprocessing.spawn(_worker, args=arguments, nprocs=settings.workers)
    return settings.output / "last.safetensors"


def _worker(rank: int, settings: Settings, meeting: str) -> None:
    reuse_memory()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // settings.workers))
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(message)s")
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.workers)
    _segment(settings, rank)
    distributed.destroy_process_group()


def _start(settings: Settings) -> tuple[Iris, dict[str, Any]]:
    if settings.resume is None:
        fresh: dict[str, Any] = {"steps": 0, "seconds": 0.0, "episodes": 0, "skipped": 0}
        config = ModelConfig.from_dict(preset(settings.preset).to_dict() | dict(settings.changes))
        return build(config, seed=settings.seed), fresh
    loaded = load_model(settings.resume)
    done = {key: loaded.meta.get(key, 0) for key in ("steps", "seconds", "episodes", "skipped")}
    return loaded.model.requires_grad_(True), done


def _segment(settings: Settings, rank: int) -> None:
    model, done = _start(settings)
    device = torch.device(settings.device)
    model = in_channels_last(model.to(device)).train()
    average = WeightAverage(model, settings.ema)
    optimiser = torch.optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay, eps=1e-6)
    source = torch.Generator().manual_seed(settings.seed * 1000003 + rank * 7919 + int(done["steps"]))
    shared = torch.Generator().manual_seed(settings.seed + int(done["steps"]))  # same shapes on every worker
    controls = _control_batches(settings, device) if rank == 0 else []

    started, saved, losses, row = time.monotonic(), time.monotonic(), [], 0
    base, team = float(done["seconds"]), Team(rank, settings.workers)
    reported: float | None = None  # steps at the last line of the log
    budget, rate = Budget(settings, base), 0.0
    while True:
        elapsed, ended = team.clock(time.monotonic() - started)
        progress = budget.progress(elapsed, done["steps"])
        if ended or budget.spent(elapsed, done["steps"]):
            break
        steps_here = int(done["steps"]) - int(done.get("start", done["steps"]))
        done.setdefault("start", done["steps"])
        warm = min(1, (steps_here + 1) / settings.warmup)
        rate = settings.rate * max(FLOOR, (1 - progress) ** POWER) * warm
        for group in optimiser.param_groups:
            group["lr"] = rate
        shape = settings.shapes[int(torch.randint(len(settings.shapes), (), generator=shared))]
        classes = int(torch.randint(settings.classes // 2 + 1, settings.classes + 1, (), generator=shared))
        batch = synthesise(
            settings.batch, classes, shape, source, device=device, progress=progress,
            families=_families(settings, source),
        )  # fmt: skip
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = loss_of(model, batch, source, settings.matching)
        loss.backward()
        team.share_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        done["steps"] += 1
        done["episodes"] += settings.batch * settings.workers
        if torch.isfinite(norm):
            optimiser.step()
            average.update(model)
            losses.append(loss.item())
            row = 0
        else:
            done["skipped"] += 1
            row += 1
            if row == SKIPS_IN_A_ROW:
                log.warning("%d steps in a row were not finite: going back to the averaged weights", row)
                model.load_state_dict(average.model.state_dict())
                optimiser.state.clear()
                row = 0
        if rank == 0:
            done["seconds"] = base + time.monotonic() - started
            if done["steps"] % settings.log_every == 0 or done["steps"] == 20:
                _report(settings, average.model, done, controls, losses, rate)
                losses, reported = [], done["steps"]
            if time.monotonic() - saved > settings.save_minutes * 60:
                saved = time.monotonic()
                _save(settings, average.model, done)
    if rank == 0:
        done["seconds"] = base + time.monotonic() - started
        if done["steps"] != reported:
            _report(settings, average.model, done, controls, losses, rate)
        _save(settings, average.model, done)
        draw_curve(settings.output / "log.jsonl", settings.output / "curve.png")


def _families(settings: Settings, source: torch.Generator) -> list[str] | None:
    """A family for each episode of a step; None leaves the draw to the generator."""
    if not settings.families:
        return None
    drawn = torch.randint(len(settings.families), (settings.batch,), generator=source)
    return [settings.families[index] for index in drawn.tolist()]


def _control_batches(settings: Settings, device: torch.device) -> list:
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    shape = settings.shapes[0]
    return [
        synthesise(2, settings.classes, shape, generator, device=device, progress=1.0)
        for _ in range(CONTROL_BATCHES)
    ]


def _report(
    settings: Settings, model: Iris, done: dict, controls: list, losses: list[float], rate: float
) -> None:
    figures = control_figures(model, controls)
    line = {
        "steps": int(done["steps"]),
        "minutes": round(done["seconds"] / 60, 2),
        "episodes": int(done["episodes"]),
        "skipped": int(done["skipped"]),
        "loss": round(sum(losses) / max(1, len(losses)), 4),
        "rate": round(rate, 6),
        **figures,
    }
    with open(settings.output / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    log.info("%s", line)


def _save(settings: Settings, model: Iris, done: dict) -> None:
    meta = {key: done[key] for key in ("steps", "seconds", "episodes", "skipped")}
    kept = replace(settings, output=Path(), resume=None)
    meta |= {
        "preset": settings.preset,
        "data": "synthetic tasks only, no patient data",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.device}, "
        f"torch {torch.__version__}",
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in vars(kept).items()},
    }
    save_model(settings.output / "last.safetensors", model, meta)
