"""What a training is told, and the learning rate that follows."""

from __future__ import annotations

import itertools

import pytest

from iris_core.errors import InputError
from nnunet_trainers.training.schedule import rate_at
from nnunet_trainers.training.settings import TrainerSettings


def test_the_environment_wins_over_the_plans_and_both_over_the_defaults():
    plans = {"iris": {"intensity": "paper", "trainer": {"epochs": 7, "rate": 0.5}}}
    settings = TrainerSettings.of_plans(plans, {"IRIS_EPOCHS": "3", "IRIS_UNRELATED": "x"})
    assert (settings.epochs, settings.rate, settings.steps) == (3, 0.5, TrainerSettings().steps)


def test_plans_hand_on_the_settings_that_were_written_into_them():
    plans = {"iris": {"intensity": "paper"}}
    settings = TrainerSettings(epochs=3, weights="none", momentum=0.9)
    assert TrainerSettings.of_plans(settings.written_into(plans)) == settings
    assert plans["iris"]["intensity"] == "paper"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"epoch": 3}, 'plans\\["iris"\\]\\["trainer"\\]: epoch: unknown setting; expected epochs'),
        ({"epochs": "many"}, "IRIS_EPOCHS: unusable value; expected a int; found many"),
        ({"without_memory": 1.5}, "IRIS_WITHOUT_MEMORY: is a share; expected 0 to 1; found 1.5"),
        ({"steps": 0}, "IRIS_STEPS: must be above 0; found 0"),
        ({"parts": 0}, "IRIS_PARTS: must be above 0; found 0"),
        ({"batch": -1}, "IRIS_BATCH: is below 0; found -1"),
        ({"momentum": 1.0}, "IRIS_MOMENTUM: unusable value; expected 0 to below 1; found 1.0"),
        ({"schedule": "cosine"}, "IRIS_SCHEDULE: unknown choice; expected one of exponential"),
    ],
)
def test_a_wrong_setting_is_told_with_what_would_be_right(given, told):
    with pytest.raises(InputError, match=told):
        TrainerSettings.of_plans({"iris": {"trainer": given}})


@pytest.mark.parametrize(
    ("typed", "meant"), [("IRIS_EPOCH", "IRIS_EPOCHS"), ("IRIS_WEIGTHS", "IRIS_WEIGHTS")]
)
def test_a_variable_that_is_nearly_a_setting_is_told(typed, meant):
    with pytest.raises(InputError, match=f"{typed}: no setting of the trainer; expected {meant}"):
        TrainerSettings.of_plans({}, {typed: "1"})
    others = ("IRIS_REAL_DATA", "IRIS_REQUIRED_KINDS", "IRIS_CLIENT_SECONDS")
    assert TrainerSettings.of_plans({}, dict.fromkeys(others, "1")) == TrainerSettings()


def test_the_rate_rises_evenly_then_falls_by_one_factor_a_step():
    settings = TrainerSettings(epochs=10, steps=10, warmup=0.1, rate=1.0, floor=0.01)
    rates = [rate_at(step, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    factors = [after / before for before, after in itertools.pairwise(rates[10:])]
    assert factors == pytest.approx([0.01 ** (1 / 90)] * 89)
    assert rate_at(100, settings) == pytest.approx(0.01)


def test_the_polynomial_rate_is_nnunets_down_to_the_floor():
    settings = TrainerSettings(epochs=10, steps=10, warmup=0.0, rate=2.0, schedule="polynomial", floor=0.05)
    assert rate_at(50, settings) == pytest.approx(2 * 0.5**0.9)
    assert rate_at(99, settings) == pytest.approx(2 * 0.05)
