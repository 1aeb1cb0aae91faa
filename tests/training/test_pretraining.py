"""Laws of `iris pretrain`, on runs of seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed

from iris_core.checkpoint import load_model, save_model
from iris_core.config import PRESETS
from iris_core.errors import CheckpointError, InputError
from iris_core.model.build import build
from iris_core.training.pretraining import Settings, pretrain, segment, trainer
from iris_core.training.pretraining.average import WeightAverage
from iris_core.training.pretraining.controls import control_figures
from iris_core.training.pretraining.recipe import Recipe, Window
from iris_core.training.pretraining.segment import recipe_for
from iris_core.training.pretraining.step import draw_batch
from iris_core.training.pretraining.trainer import Progress
from iris_core.training.pretraining.workers import Team
from iris_core.training.synthesis import synthesise
from tests.tiny import EXTENDED, PLAIN

SHAPE = (32, 32, 32)
RECIPE = Recipe(windows=(Window(SHAPE, 1.0, 1),), classes=(1, 2), ramp=1.0)


def settings(folder: Path, **changes) -> Settings:
    few = {"recipe": RECIPE, "preset": "least", "minutes": 1 / 60}
    return Settings(output=folder, **few | changes)


@pytest.fixture(autouse=True)
def least_work(monkeypatch):
    """A preset of the smallest network, and one batch of control episodes."""
    monkeypatch.setitem(PRESETS, "least", EXTENDED)
    monkeypatch.setattr(segment, "CONTROL_BATCHES", 1)


def lines(folder: Path, name: str = "log.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_a_run_of_seconds_leaves_weights_and_a_log_and_can_be_gone_on_from(tmp_path):
    path = pretrain(settings(tmp_path))
    first = load_model(path)
    assert path == tmp_path / "last.safetensors" and first.model.config == EXTENDED
    assert all(bool(p.isfinite().all()) for p in first.model.parameters())
    begin, end = lines(tmp_path)
    assert begin["steps"] == 0 < end["steps"] == first.meta["steps"] and end["skipped"] == 0
    assert {"own", "swapped", "rolled", "copy", "tokens"} <= set(end["control"]) and end["loss"]
    assert "no patient data" in first.meta["data"] and first.preset == "least"
    assert (tmp_path / "curve.png").stat().st_size > 5000

    again = load_model(pretrain(settings(tmp_path, resume=path, total_minutes=1)))
    for name in ("steps", "seconds", "episodes"):
        assert again.meta[name] > first.meta[name], name
    assert again.fingerprint != first.fingerprint
    assert [line["steps"] for line in lines(tmp_path)] == [0, first.meta["steps"], again.meta["steps"]]
    steps = [line["step"] for line in lines(tmp_path, "steps.jsonl")]
    assert steps == list(range(1, again.meta["steps"] + 1))


def test_minutes_are_the_wall_time_of_a_segment_and_drive_the_schedule(tmp_path):
    part = settings(tmp_path, minutes=2.0)
    assert part.budgeted(0).minutes == 2 and part.budgeted(60).minutes == 3
    assert replace(part, total_minutes=5.0).budgeted(60).minutes == 5
    assert replace(part, total_minutes=2.5).budgeted(60).minutes == 3


def test_steps_in_place_of_minutes_end_a_run_and_drive_its_schedule(tmp_path):
    told = settings(tmp_path, steps=3, recipe=replace(RECIPE, warmup=1, rate=1e-3, cooling=1.0))
    assert load_model(pretrain(told)).meta["steps"] == 3
    rates = [line["rate"] for line in lines(tmp_path, "steps.jsonl")]
    assert rates == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3], abs=1e-6)
    again = load_model(pretrain(replace(told, steps=4, resume=tmp_path / "last.safetensors")))
    assert again.meta["steps"] == 4
    for wrong in ({"steps": 0}, {"steps": 5, "total_minutes": 3}):
        with pytest.raises(InputError, match="steps"):
            settings(tmp_path, **wrong)


def test_the_papers_network_trains_too(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "least", PLAIN)
    assert load_model(pretrain(settings(tmp_path, steps=2))).model.config == PLAIN
    parts = lines(tmp_path, "steps.jsonl")[0]
    assert {"contrast", "nuisance", "rate"} < set(parts) and not {"evidence", "smooth"} & set(parts)


def test_a_run_goes_on_from_weights_that_no_run_wrote(tmp_path):
    save_model(tmp_path / "plain.safetensors", build(EXTENDED, seed=1), {"steps": 7, "seconds": 5.0})
    resumed = pretrain(settings(tmp_path / "on", resume=tmp_path / "plain.safetensors", steps=8))
    meta = load_model(resumed).meta
    assert meta["steps"] == 8 and meta["seconds"] > 5 and meta["run"]["counters"]["warm_from"] == 7


def counted(monkeypatch, spoil) -> list[int]:
    """Makes the loss of the steps that `spoil` chooses not finite; gives the list of spoilt steps."""
    spoilt: list[int] = []
    original, steps = trainer.losses_of, iter(range(10**6))

    def losses_of(*arguments, **options):
        step, parts = next(steps), original(*arguments, **options)
        if not spoil(step):
            return parts
        spoilt.append(step)
        return {name: part * torch.nan for name, part in parts.items()}

    monkeypatch.setattr(trainer, "losses_of", losses_of)
    return spoilt


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path, monkeypatch):
    spoilt = counted(monkeypatch, lambda step: step % 3 == 1)
    loaded = load_model(pretrain(settings(tmp_path, steps=3)))
    assert loaded.meta["skipped"] == len(spoilt) > 0 and loaded.meta["steps"] > len(spoilt)
    assert all(bool(p.isfinite().all()) for p in loaded.model.parameters())


def test_a_run_without_one_finite_step_leaves_the_weights_it_began_with(tmp_path, monkeypatch):
    spoilt = counted(monkeypatch, lambda step: True)
    told = settings(tmp_path, steps=6, recipe=replace(RECIPE, seed=4))
    loaded = load_model(pretrain(told))
    assert loaded.meta["skipped"] == loaded.meta["steps"] == len(spoilt) == 6
    for name, value in build(EXTENDED, seed=4).state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value.half().float()), name


def one_of_two(rank: int, told: Settings, meeting: str, folder: str) -> None:
    """A worker of a shared run that keeps the weights it ended with."""
    PRESETS["least"] = EXTENDED
    segment.CONTROL_BATCHES = 1
    torch.set_num_threads(1)
    made = []
    segment.build = lambda *arguments, **options: made.append(build(*arguments, **options)) or made[-1]
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    segment._segment(told, Progress(EXTENDED), Team(rank, 2))
    distributed.destroy_process_group()
    torch.save(made[0].state_dict(), f"{folder}/{rank}.pt")


def test_two_workers_take_the_same_steps(tmp_path):
    told = settings(tmp_path, workers=2, recipe=replace(RECIPE, warmup=1), total_minutes=600)
    torch.multiprocessing.spawn(one_of_two, args=(told, f"file://{tmp_path}/meet", str(tmp_path)), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    start = build(EXTENDED, seed=0).state_dict()
    moved = max(float((one[name] - start[name]).abs().max()) for name in one)
    apart = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert 0 < moved < 1
    assert apart <= 1e-6 * moved
    meta = load_model(tmp_path / "last.safetensors").meta
    assert meta["episodes"] == 4 * meta["steps"] > 0


def test_workers_draw_episodes_of_their_own_for_the_same_kind_of_step():
    recipe = replace(RECIPE, windows=(Window(SHAPE, 0.5, 1), Window((16, 16, 16), 0.5, 1)), classes=(2, 9))
    for step in range(4):
        (one, alone), (other, too) = (draw_batch(recipe, step, rank=rank) for rank in (0, 1))
        assert one.query_mask.shape == other.query_mask.shape and alone == too
        assert not torch.equal(one.query_image, other.query_image)


def test_only_the_families_named_are_drawn():
    recipe = replace(RECIPE, windows=(Window((16, 16, 16), 1.0, 8),), families=("chain", "brain"))
    assert set(draw_batch(recipe, 0)[0].family) == {"chain", "brain"}
    with pytest.raises(InputError, match=r"^brian: no such family; expected some of partition"):
        recipe_for("cpu", families=("brian",))


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


@pytest.mark.parametrize("name", ["minutes", "total_minutes", "steps", "workers"])
def test_a_setting_that_must_be_positive_is_refused_at_zero(tmp_path, name):
    for wrong in (0, float("nan")):
        with pytest.raises(InputError, match=f"^{name}: must be positive; found {wrong}"):
            settings(tmp_path, **{name: wrong})


def test_every_seed_of_64_bits_draws_and_a_longer_one_is_refused():
    for seed in (-1, 2**63 - 1):
        draw_batch(replace(RECIPE, seed=seed), 5, rank=1)
    with pytest.raises(InputError, match=r"^seed: no such seed"):
        replace(RECIPE, seed=2**63)


def test_several_workers_are_for_the_cpu(tmp_path):
    with pytest.raises(InputError, match=r"^workers: several workers share a step on the CPU only; found 2"):
        settings(tmp_path, workers=2, device="cuda")


def test_an_unknown_preset_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="huge: unknown preset; expected one of paper, small, tiny"):
        pretrain(settings(tmp_path / "run", preset="huge"))
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_checkpoint_is_refused_before_workers_start(tmp_path):
    (tmp_path / "text").write_text("weights?")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        pretrain(settings(tmp_path / "run", workers=2, resume=tmp_path / "text"))
    assert not (tmp_path / "run").exists()
