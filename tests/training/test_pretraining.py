"""Laws of the training loop, on runs of seconds."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import distributed

from iris_core.checkpoint import load_model
from iris_core.config import PRESETS
from iris_core.errors import InputError
from iris_core.model.build import build
from iris_core.training.pretraining import Settings
from iris_core.training.pretraining import run as pretrain
from iris_core.training.pretraining.average import WeightAverage
from iris_core.training.pretraining.controls import control_figures
from iris_core.training.synthesis import synthesise
from tests.tiny import EXTENDED

loop = import_module("iris_core.training.pretraining.run")  # the package's own `run` is the function
SHAPE = (32, 32, 32)


def settings(folder: Path, **changes) -> Settings:
    few = {
        "preset": "least",
        "minutes": 1 / 60,
        "batch": 1,
        "classes": 2,
        "shapes": (SHAPE,),
        "save_minutes": 60,
    }
    return Settings(output=folder, **few | changes)


@pytest.fixture(autouse=True)
def least_work(monkeypatch):
    """A preset of the smallest network, and one batch of control episodes."""
    monkeypatch.setitem(PRESETS, "least", EXTENDED)
    monkeypatch.setattr(loop, "CONTROL_BATCHES", 1)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_of_seconds_leaves_weights_and_a_log_and_can_be_gone_on_from(tmp_path):
    path = pretrain(settings(tmp_path))
    first = load_model(path)
    assert path == tmp_path / "last.safetensors" and first.model.config == EXTENDED
    assert all(bool(p.isfinite().all()) for p in first.model.parameters())
    *_, line = lines(tmp_path)  # a fast machine writes one at step 20 too
    assert line["steps"] == first.meta["steps"] > 0 and line["skipped"] == 0
    assert {"loss", "own", "swapped", "rolled", "copy", "tokens"} <= set(line)
    assert "no patient data" in first.meta["data"]

    again = load_model(pretrain(settings(tmp_path, resume=path, total_minutes=1)))
    assert again.meta["steps"] > first.meta["steps"] and again.meta["seconds"] > first.meta["seconds"]
    assert again.meta["episodes"] > first.meta["episodes"] and again.fingerprint != first.fingerprint
    steps = [entry["steps"] for entry in lines(tmp_path)]
    assert steps == sorted({*steps, first.meta["steps"], again.meta["steps"]})
    assert set(steps) <= {20, first.meta["steps"], again.meta["steps"]}


def test_the_last_steps_are_reported_once(tmp_path):
    pretrain(settings(tmp_path, log_every=1, steps=3))
    found = [line["steps"] for line in lines(tmp_path)]
    assert found == list(range(1, len(found) + 1)) and all(line["rate"] > 0 for line in lines(tmp_path))


def test_steps_in_place_of_minutes_end_a_run_and_drive_its_schedule(tmp_path):
    asked = {"log_every": 1, "warmup": 1, "steps": 3, "rate": 1e-3}
    whole = load_model(pretrain(settings(tmp_path / "whole", **asked)))
    assert whole.meta["steps"] == 3
    rates = [line["rate"] for line in lines(tmp_path / "whole")]
    assert rates == pytest.approx([1e-3 * (1 - step / 3) ** loop.POWER for step in range(3)], abs=1e-6)
    again = load_model(
        pretrain(
            settings(
                tmp_path / "whole", **asked | {"steps": 4}, resume=tmp_path / "whole" / "last.safetensors"
            )
        )
    )
    assert again.meta["steps"] == 4
    for wrong in ({"steps": 0}, {"steps": 5, "total_minutes": 3}):
        with pytest.raises(InputError, match="steps"):
            settings(tmp_path, **wrong)


def counted(monkeypatch, spoil) -> list[int]:
    """Makes the loss of the steps that `spoil` chooses not finite; gives the list of spoilt steps."""
    spoilt: list[int] = []
    original, steps = loop.loss_of, iter(range(10**6))

    def loss_of(*arguments):
        step, loss = next(steps), original(*arguments)
        if not spoil(step):
            return loss
        spoilt.append(step)
        return loss * torch.nan

    monkeypatch.setattr(loop, "loss_of", loss_of)
    return spoilt


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path, monkeypatch):
    spoilt = counted(monkeypatch, lambda step: step % 3 == 1)
    loaded = load_model(pretrain(settings(tmp_path, steps=3)))
    assert loaded.meta["skipped"] == len(spoilt) > 0 and loaded.meta["steps"] > len(spoilt)
    assert all(bool(p.isfinite().all()) for p in loaded.model.parameters())


def test_a_run_without_one_finite_step_leaves_the_weights_it_began_with(tmp_path, monkeypatch):
    spoilt = counted(monkeypatch, lambda step: True)
    loaded = load_model(pretrain(settings(tmp_path, seed=4, steps=2)))
    assert loaded.meta["skipped"] == loaded.meta["steps"] == len(spoilt) > 0
    for name, value in build(EXTENDED, seed=4).state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value.half().float()), name


def one_of_two(rank: int, told: Settings, meeting: str, folder: str) -> None:
    """A worker of a shared run that keeps the weights it ended with."""
    PRESETS["least"] = EXTENDED
    loop.CONTROL_BATCHES = 1
    torch.set_num_threads(1)
    made = []
    loop.build = lambda *arguments, **options: made.append(build(*arguments, **options)) or made[-1]
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    loop._segment(told, rank)
    distributed.destroy_process_group()
    torch.save(made[0].state_dict(), f"{folder}/{rank}.pt")


def test_two_workers_take_the_same_steps(tmp_path):
    told = settings(tmp_path, workers=2, warmup=1, total_minutes=600)
    torch.multiprocessing.spawn(one_of_two, args=(told, f"file://{tmp_path}/meet", str(tmp_path)), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    start = build(EXTENDED, seed=told.seed).state_dict()
    moved = max(float((one[name] - start[name]).abs().max()) for name in one)
    apart = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert 0 < moved < 1
    assert apart <= 1e-6 * moved
    meta = load_model(tmp_path / "last.safetensors").meta
    assert meta["episodes"] == 2 * meta["steps"] > 0


def test_the_average_follows_the_weights_and_keeps_still_when_they_do():
    model = build(EXTENDED, seed=0)
    average = WeightAverage(model, decay=0.9)
    average.update(model)
    assert all(torch.equal(a, b) for a, b in zip(average.model.parameters(), model.parameters(), strict=True))
    start = average.model.prior_gain.item()
    with torch.no_grad():
        model.prior_gain += 1
    distances = []
    for _ in range(60):
        average.update(model)
        distances.append(abs(average.model.prior_gain.item() - start - 1))
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.01
    assert not any(p.requires_grad for p in average.model.parameters())


def test_control_figures_are_shares_and_do_not_move_the_network():
    model = build(EXTENDED, seed=0).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = synthesise(2, 2, SHAPE, torch.Generator().manual_seed(0))
    figures = control_figures(model, [batch])
    assert {"own", "swapped", "rolled", "copy", "tokens"} <= set(figures)
    assert all(0 <= value <= 1 for value in figures.values())
    assert figures == control_figures(model, [batch])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["minutes", "batch", "classes", "workers", "rate"])
def test_a_setting_that_must_be_positive_is_refused_at_zero(tmp_path, name):
    with pytest.raises(InputError, match=f"^{name}: must be positive; found 0"):
        settings(tmp_path, **{name: 0})


def test_several_workers_are_for_the_cpu(tmp_path):
    with pytest.raises(InputError, match=r"^workers: several workers share a step on the CPU only; found 2"):
        settings(tmp_path, workers=2, device="cuda")


def test_an_unknown_preset_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="huge: unknown preset; expected one of paper, small, tiny"):
        pretrain(settings(tmp_path, preset="huge"))
