"""The trainer of the long run: takes steps, and gives and takes back all that it needs to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from iris_core.model.iris import Iris
from iris_core.model.layers import in_channels_last
from iris_core.training.pretraining.average import WeightAverage
from iris_core.training.pretraining.long.nuisance import VolumeProbe
from iris_core.training.pretraining.long.recipe import Recipe
from iris_core.training.pretraining.long.step import draw_batch, losses_of

CLIP = 1.0  # gradient norm
EPSILON = 1e-6  # of AdamW
SKIPS_IN_A_ROW = 5


@dataclass
class Counters:
    """How far the run is.

    Args:
        steps: taken, skipped ones among them.
        episodes: answered.
        skipped: steps whose gradient was not finite.
        warm_from: the step after the last start without moments.
        averaged: updates of the averaged weights.
        seconds: of processor time, user and system, of the steps alone.
    """

    steps: int = 0
    episodes: int = 0
    skipped: int = 0
    warm_from: int = 0
    averaged: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


@dataclass
class Progress:
    """All that a run needs to go on, apart from its recipe.

    Args:
        counters: how far it is.
        tensors: "average.NAME" for every parameter of the network, "probe.NAME" of the volume probe; with
            moments also "weights.NAME", "first.NAME", "second.NAME" and "count.NAME". NAME is the parameter's
            own name in the network, so that the file outlives moves of the code.
    """

    counters: Counters = field(default_factory=Counters)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def has_moments(self) -> bool:
        """Whether the optimiser can go on where it was."""
        return any(name.startswith("first.") for name in self.tensors)


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
    """

    def __init__(self, model: Iris, recipe: Recipe, device: str = "cpu", half: bool | None = None) -> None:
        self.model = in_channels_last(model.to(device)).train().requires_grad_(True)
        self.recipe, self.device = recipe, device
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
        rate = self.recipe.rate_at(self.counters.steps, self.counters.warm_from)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch, alone = draw_batch(self.recipe, self.counters.steps, self.device)
        self.optimiser.zero_grad(set_to_none=True)
        # places are compared in float32: in bfloat16 the gradients of correspondence are mostly rounding
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half and alone):
            parts = losses_of(self.model, batch, self.recipe, self.probe, alone=alone)
        sum(parts.values(), torch.zeros((), device=self.device)).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.counters.steps += 1
        self.counters.episodes += len(batch.family)
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

    def progress(self) -> Progress:
        """A copy of all that is needed to go on."""
        self.counters.averaged = self.average.updates
        tensors = {f"probe.{name}": value for name, value in self.probe.tensors().items()}
        for name, value in self.average.model.state_dict().items():
            tensors[f"average.{name}"] = value
        for name, parameter in self.model.named_parameters():
            tensors[f"weights.{name}"] = parameter.detach()
            held = self.optimiser.state.get(parameter)
            if held:
                tensors |= {f"first.{name}": held["exp_avg"], f"second.{name}": held["exp_avg_sq"],
                            f"count.{name}": held["step"]}  # fmt: skip
        copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        return Progress(Counters(**self.counters.to_dict()), copies)

    def go_on(self, progress: Progress) -> None:
        """Takes back what :meth:`progress` gave; without moments it warms up again."""
        tensors = progress.tensors
        self.counters = Counters(**progress.counters.to_dict())
        average = _under("average.", tensors)
        self.average.model.load_state_dict(average)
        self.average.updates = self.counters.averaged
        self.probe.restore(_under("probe.", tensors))
        if not progress.has_moments:
            self._begin_anew()
            return
        self.model.load_state_dict(_under("weights.", tensors))
        self.optimiser.state.clear()
        for name, parameter in self.model.named_parameters():
            if f"first.{name}" in tensors:
                self.optimiser.state[parameter] = {
                    "step": tensors[f"count.{name}"].clone(),
                    "exp_avg": _like(tensors[f"first.{name}"], parameter),
                    "exp_avg_sq": _like(tensors[f"second.{name}"], parameter),
                }


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What stands under a prefix, in float32."""
    return {n.removeprefix(prefix): v.float() for n, v in tensors.items() if n.startswith(prefix)}


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A moment in the memory order of its parameter."""
    return torch.empty_like(parameter).copy_(value)
