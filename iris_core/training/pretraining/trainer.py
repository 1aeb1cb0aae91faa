"""The trainer: takes steps, and gives and takes back all that it needs to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from iris_core.config import ModelConfig
from iris_core.model.iris import Iris
from iris_core.model.layers import in_channels_last
from iris_core.training.pretraining.average import WeightAverage
from iris_core.training.pretraining.nuisance import VolumeProbe
from iris_core.training.pretraining.recipe import Recipe
from iris_core.training.pretraining.step import draw_batch, losses_of
from iris_core.training.pretraining.workers import ALONE, Team

CLIP = 1.0  # gradient norm
EPSILON = 1e-6  # of AdamW
SKIPS_IN_A_ROW = 5


@dataclass
class Counters:
    """How far a run is."""

    steps: int = 0  # taken, skipped ones among them
    episodes: int = 0  # answered, by all workers together
    skipped: int = 0  # steps whose gradient was not finite
    warm_from: int = 0  # the step after the last start without moments
    averaged: int = 0  # updates of the averaged weights
    seconds: float = 0.0  # spent, by the clock of whoever drives the trainer


@dataclass
class Progress:
    """A run between two steps: all that it needs to go on."""

    config: ModelConfig  # of the network
    counters: Counters = field(default_factory=Counters)  # how far it is
    # "average.NAME" for every parameter of the network, "probe.moments" of the volume probe, if it has begun;
    # with moments of the optimiser also "weights.NAME", "first.NAME", "second.NAME" and "count.NAME". NAME is
    # the parameter's own name, so that the file outlives moves of the code
    tensors: dict[str, Tensor] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)  # as it was, as plain JSON types
    log: list[dict[str, Any]] = field(default_factory=list)  # lines of control figures


def native_half(device: str) -> bool:
    """Whether the device computes in bfloat16 faster than in float32."""
    if device != "cpu":
        return True
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


class Trainer:
    """A network in training.

    Args:
        model: with weights to start from.
        recipe: what each step does.
        device: "cpu" or "cuda".
        half: whether steps without memory compute in bfloat16; None: where the device does so natively.
        team: the workers that share every step.
    """

    def __init__(
        self, model: Iris, recipe: Recipe, device: str = "cpu", half: bool | None = None, team: Team = ALONE
    ) -> None:
        self.model = in_channels_last(model.to(device)).train().requires_grad_(True)
        self.recipe, self.device, self.team = recipe, device, team
        self.half = native_half(device) if half is None else half
        self.average = WeightAverage(self.model, recipe.ema)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), recipe.rate, weight_decay=recipe.decay, eps=EPSILON, fused=True
        )
        self.probe = VolumeProbe(model.config.channels[-1], device)
        self.counters = Counters()
        self._skips_in_a_row = 0

    def step(self) -> dict[str, float]:
        """Takes the next step.

        Returns:
            The parts of its loss, weighted, and the rate.
        """
        recipe, counters = self.recipe, self.counters
        done = recipe.done(counters.steps, counters.seconds)
        rate = recipe.rate_at(done, counters.steps - counters.warm_from)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        difficulty = recipe.difficulty_at(done)
        batch, alone = draw_batch(recipe, counters.steps, difficulty, self.device, self.team.rank)
        self.optimiser.zero_grad(set_to_none=True)
        # places are compared in float32: in bfloat16 the gradients of correspondence are mostly rounding
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half and alone):
            parts = losses_of(self.model, batch, recipe, self.probe, alone=alone)
        sum(parts.values(), torch.zeros((), device=self.device)).backward()
        self.team.share_gradients(self.model)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        counters.steps += 1
        counters.episodes += len(batch.family) * self.team.size
        self._take(bool(torch.isfinite(norm)))
        kind = "alone" if alone else "with memory"
        named = {f"{name}, {kind}" if name == "answer" else name: part.item() for name, part in parts.items()}
        return named | {"rate": rate}

    def _take(self, finite: bool) -> None:
        if finite:
            self.optimiser.step()
            self.average.update(self.model)
            self._skips_in_a_row = 0
            return
        self.counters.skipped += 1
        self._skips_in_a_row += 1
        if self._skips_in_a_row == SKIPS_IN_A_ROW:  # back to the averaged weights
            self._begin_anew()

    def _begin_anew(self) -> None:
        """From the averaged weights, without moments."""
        self.model.load_state_dict(self.average.model.state_dict())
        self.optimiser.state.clear()
        self.counters.warm_from, self._skips_in_a_row = self.counters.steps, 0

    def progress(self, log: Sequence[dict[str, Any]] = ()) -> Progress:
        """A copy of all that is needed to go on, with the lines of a log."""
        self.counters.averaged = self.average.updates
        tensors = {"probe.moments": self.probe.moments}
        for name, value in self.average.model.state_dict().items():
            tensors[f"average.{name}"] = value
        for name, parameter in self.model.named_parameters():
            tensors[f"weights.{name}"] = parameter.detach()
            held = self.optimiser.state.get(parameter)
            if held:
                tensors |= {f"first.{name}": held["exp_avg"], f"second.{name}": held["exp_avg_sq"],
                            f"count.{name}": held["step"]}  # fmt: skip
        copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        recipe = json.loads(json.dumps(asdict(self.recipe)))
        return Progress(self.model.config, replace(self.counters), copies, recipe, list(log))

    def go_on(self, progress: Progress) -> None:
        """Takes back what :meth:`progress` gave; without moments it warms up again."""
        tensors = progress.tensors
        self.counters = replace(progress.counters)
        self.average.model.load_state_dict(under("average.", tensors))
        self.average.updates = self.counters.averaged
        if "probe.moments" in tensors:
            self.probe.moments.copy_(tensors["probe.moments"])
        if not under("first.", tensors):
            self._begin_anew()
            return
        self.model.load_state_dict(under("weights.", tensors))
        self.optimiser.state.clear()
        for name, parameter in self.model.named_parameters():
            if f"first.{name}" in tensors:
                self.optimiser.state[parameter] = {
                    "step": tensors[f"count.{name}"].clone(),
                    "exp_avg": _like(tensors[f"first.{name}"], parameter),
                    "exp_avg_sq": _like(tensors[f"second.{name}"], parameter),
                }


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names, in float32."""
    return {n.removeprefix(prefix): v.float() for n, v in tensors.items() if n.startswith(prefix)}


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A moment in the memory order of its parameter."""
    return torch.empty_like(parameter).copy_(value)
