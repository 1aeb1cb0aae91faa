"""Laws of the long run: steps alone drive it, and a killed run goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.long_run import __main__ as command
from benchmarks.long_run import job, landing, status
from benchmarks.long_run.landing import MOST_BYTES, land, landings, read_landing
from benchmarks.long_run.state_file import NAME, PREVIOUS, read_state
from benchmarks.long_run.worker import furthest, worker
from iris_core.checkpoint import load_model
from iris_core.errors import CheckpointError, InputError
from iris_core.model.build import build
from iris_core.training.pretraining import curve
from iris_core.training.pretraining.nuisance import VolumeProbe
from iris_core.training.pretraining.recipe import Recipe, Window
from iris_core.training.pretraining.run import Run
from iris_core.training.pretraining.step import draw_batch, losses_of
from tests.tiny import EXTENDED

ROOT = Path(__file__).parents[2]
NETWORK = replace(EXTENDED, deep_vectors=True, balanced_tokens=True)
RECIPE = Recipe(
    windows=(Window((16, 16, 16), 0.5, 1), Window((32, 16, 16), 0.5, 1)), classes=(3, 3),
    warmup=4, ramp=0.12, steps=50,
    rate=1e-5,  # small, so that rounding does not grow into another course of training
)  # fmt: skip


def small_worker(folder: Path, landed: Path | None = None) -> Run:
    landed = landed or folder / "none.safetensors"
    # rounding of float16 is not what these tests are about
    run = worker(folder, RECIPE, lambda: build(NETWORK, seed=3), {}, landed, half=False)
    run.save_seconds = 1e9
    return run


def same(a: dict[str, float], b: dict[str, float]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value == pytest.approx(b[name], abs=1e-4), name


def test_rate_and_difficulty_follow_the_share_of_the_run_that_is_done():
    recipe = replace(RECIPE, rate=1.0, cooling=0.2, steps=100, warmup=10, ramp=0.2)
    rates = [recipe.rate_at(recipe.done(step, 0), step) for step in (0, 4, 9, 50, 79, 90, 100)]
    assert rates == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0.02])
    assert recipe.rate_at(0.6, 0) == pytest.approx(0.1)  # after a start without moments
    assert [recipe.difficulty_at(done) for done in (0, 0.1, 0.2, 0.9)] == [0, 0.5, 1, 1]
    assert replace(recipe, ramp=0).difficulty_at(0) == 1
    timed = replace(recipe, minutes=2.0)
    assert [timed.done(10**6, seconds) for seconds in (0, 60, 120)] == [0, 0.5, 1]


def test_a_run_that_went_on_takes_the_same_steps_as_one_that_never_stopped(tmp_path):
    first = small_worker(tmp_path)
    first.run(steps=5)
    second = small_worker(tmp_path)
    assert second.trainer.counters == first.trainer.counters and second.trainer.counters.episodes == 10
    held, again = first.trainer.progress().tensors, second.trainer.progress().tensors
    assert held.keys() == again.keys() and any(name.startswith("second.") for name in held)
    assert [name for name in held if not torch.equal(held[name].float(), again[name].float())] == []
    for _ in range(3):
        same(second.trainer.step(), first.trainer.step())


def test_a_state_without_moments_goes_on_from_the_averaged_weights_and_warms_up(tmp_path):
    one = small_worker(tmp_path / "one")
    one.run(steps=5)
    state = read_state(tmp_path / "one")
    assert land(state, tmp_path / "landed.safetensors") == 1
    other = small_worker(tmp_path / "other", tmp_path / "landed.safetensors")
    assert other.trainer.counters.steps == 5 and other.trainer.counters.warm_from == 5
    for name, value in one.trainer.average.model.state_dict().items():
        torch.testing.assert_close(other.trainer.model.state_dict()[name], value.half().float())
    assert other.trainer.step()["rate"] == pytest.approx(RECIPE.rate / RECIPE.warmup)


def test_gradients_in_bfloat16_are_finite_and_near_those_in_float32():
    recipe = replace(RECIPE, windows=(Window((32, 32, 32), 1.0, 1),), without_memory=1.0)
    sizes = {"channels": (8, 8, 16, 16, 128), "attention_heads": 4}  # deepest as in `tiny`: 2^3 cells
    model = build(replace(NETWORK, **sizes), seed=1).to(memory_format=torch.channels_last_3d)
    batch, alone = draw_batch(recipe, 0)

    def gradients(half: bool) -> torch.Tensor:
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            parts = losses_of(model, batch, recipe, VolumeProbe(128), alone=alone)
        litter = [torch.full((n,), torch.nan) for n in (10**4, 10**5, 3 * 10**5, 442_368, 10**6)] * 2
        del litter  # memory that is used again holds what was there before
        sum(parts.values()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    exact = gradients(False)
    for _ in range(3):
        assert (gradients(True) - exact).norm() < 0.2 * exact.norm()


def test_a_landing_is_a_checkpoint_of_few_bytes_and_only_goes_forward(tmp_path):
    run = small_worker(tmp_path)
    run.run(steps=2)
    path = tmp_path / "landed.safetensors"
    assert read_landing(path) is None and landings(path) == 0
    land(read_state(tmp_path), path)
    assert path.stat().st_size < MOST_BYTES and load_model(path).model.config == NETWORK
    with pytest.raises(InputError, match="no further"):
        land(read_state(tmp_path), path)
    run.run(steps=1)
    assert land(read_state(tmp_path), path) == landings(path) == 2
    assert read_landing(path).counters.steps == 3


def test_the_run_goes_on_from_whichever_state_is_furthest(tmp_path):
    far, near = small_worker(tmp_path / "far"), small_worker(tmp_path / "near")
    far.run(steps=3)
    near.run(steps=1)
    states = [read_state(tmp_path / name) for name in ("near", "far")]
    assert furthest(*states) is states[1] and furthest(None, states[0]) is states[0]
    assert furthest(None, None) is None


def test_a_broken_state_gives_way_to_the_one_before_it(tmp_path):
    run = small_worker(tmp_path)
    run.run(steps=1)
    run.run(steps=1)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    assert read_state(tmp_path).counters.steps == 1
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no state of the long run can be read"):
        read_state(tmp_path)


def test_a_state_names_parameters_and_no_module_of_the_code(tmp_path):
    run = small_worker(tmp_path)
    run.run(steps=2)
    names = set(run.trainer.model.state_dict())
    for name in read_state(tmp_path).tensors:
        part, _, own = name.partition(".")
        known = ("weights", "average", "first", "second", "count")
        assert part == "probe" or (part in known and own in names)
    assert b"iris_core" not in (tmp_path / NAME).read_bytes()


def test_the_curve_is_drawn_from_the_log(tmp_path):
    figures = {name: 0.5 for name in (*curve.FIGURES, "copy")}
    curve.draw_curve([{"hours": h, "first": figures, "second": figures} for h in (0, 1)], tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 5000


def test_status_speaks_of_folder_and_landing_and_commands_refuse_in_one_line(tmp_path, monkeypatch, capsys):
    landed = tmp_path / "landed.safetensors"
    monkeypatch.setattr(landing, "LANDED", landed)
    assert "No process" in status.spoken_status(tmp_path / "none", landed)
    assert "Nothing has landed yet" in status.spoken_status(tmp_path / "none", landed)
    run = small_worker(tmp_path)
    run.run(steps=2)
    land(read_state(tmp_path), landed)
    told = status.spoken_status(tmp_path, landed)
    assert "2 steps, 4 episodes" in told and "Landed (1 times)" in told
    assert command.main(["--folder", str(tmp_path / "none"), "land"]) == 2
    assert command.main(["--folder", str(tmp_path / "none"), "pause"]) == 2
    assert all(len(line) for line in capsys.readouterr().err.splitlines()[:2])


WORK = """
import sys
from pathlib import Path
from tests.training.test_long_run import small_worker
from benchmarks.long_run.job import alone_in
from benchmarks.long_run.worker import quiet_threads
quiet_threads()  # as the real run: sums over two threads round otherwise, and Adam makes whole steps of that
folder = Path(sys.argv[1])
with alone_in(folder):
    run = small_worker(folder)
    run.save_seconds = 0.0
    print("ready", flush=True)
    run.run()
"""


def test_a_run_that_is_killed_again_and_again_loses_nothing_beyond_its_last_state(tmp_path):
    moments = random.Random(5)
    seen = 0
    for _ in range(3):
        words = [sys.executable, "-c", WORK, str(tmp_path)]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        begun, limit = seen, time.monotonic() + 120
        while read_or_none(tmp_path) <= begun and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        state = read_state(tmp_path)
        assert state.counters.steps > begun
        seen = state.counters.steps
    torch.set_num_threads(1)
    whole = small_worker(tmp_path / "whole")
    expected = [whole.trainer.step() for _ in range(seen + 1)]
    same(small_worker(tmp_path).trainer.step(), expected[-1])


def steps_of(folder: Path) -> int:
    return len((folder / "steps.jsonl").read_text().splitlines()) if (folder / "steps.jsonl").exists() else 0


def wait_until(true, seconds: float = 120.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_job_is_one_process_that_can_stand_still_go_on_and_end(tmp_path):
    work = [sys.executable, "-c", WORK, str(tmp_path)]
    with pytest.raises(InputError, match="no long run is at work"):
        job.signalled(tmp_path, signal.SIGSTOP)
    process, new = job.start(tmp_path, work)
    assert new and job.start(tmp_path, work) == (process, False)
    with pytest.raises(InputError, match="at work here already"), job.alone_in(tmp_path):
        pass
    assert os.getpriority(os.PRIO_PROCESS, process) == 19
    wait_until(lambda: steps_of(tmp_path) > 1)
    assert job.signalled(tmp_path, signal.SIGSTOP) == process
    wait_until(lambda: job.paused(process))
    still = steps_of(tmp_path)
    time.sleep(0.5)
    assert steps_of(tmp_path) == still
    job.signalled(tmp_path, signal.SIGCONT)
    wait_until(lambda: steps_of(tmp_path) > still)
    job.signalled(tmp_path, signal.SIGTERM)
    wait_until(lambda: job.running(tmp_path) is None)
    assert read_state(tmp_path).counters.steps == steps_of(tmp_path)


def read_or_none(folder: Path) -> int:
    state = read_state(folder)
    return 0 if state is None else state.counters.steps
