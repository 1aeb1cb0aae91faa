"""TrainerSettings: what a training is told, by `plans["iris"]["trainer"]` and by `IRIS_*` in the environment.

The environment wins over the plans, and both over the defaults, which are the paper's where it gives a number
(4.1 and supplement 7: 80 000 steps, 2 000 of warm-up, LAMB at 2e-3, exponential decay).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from iris_core.config import MEMORY_MOMENTUM, PRESETS
from iris_core.errors import InputError

KEY, PART = "iris", "trainer"  # plans["iris"]["trainer"]
PREFIX = "IRIS_"
NEAR = 0.8  # likeness from which a variable's name is taken for a misspelt one
SCHEDULES = ("exponential", "polynomial", "constant")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
SHARES = (
    "warmup",
    "without_memory",
    "from_bank",
    "drop_classes",
    "imperfect",
    "query_anywhere",
)


@dataclass(frozen=True)
class TrainerSettings:
    """One training.

    Args:
        preset: of the network; "tiny" is what the shipped weights are.
        weights: where the network starts: "auto" (the shipped weights where the preset is theirs, else none),
            "none", or a file that `iris pretrain` or `iris export` wrote.
        epochs: in all.
        steps: of an epoch.
        validation_steps: at the end of an epoch.
        batch: episodes per step and process; 0 takes the plans' batch size.
        parts: in which a step's batch goes through the network, one after the other, where memory is short.
        rate: peak learning rate of LAMB.
        decay: weight decay.
        schedule: of the rate after the warm-up: "exponential", "polynomial" or "constant".
        floor: of the rate at the end, as a share of the peak.
        warmup: share of all steps in which the rate rises (paper: 2 000 of 80 000).
        clip: largest gradient norm.
        momentum: of the memory bank.
        classes: most classes of an episode.
        without_memory: share of steps in which the decoder has tokens alone, as from a memory bank (ours).
        from_bank: share of those in which the tokens are the bank's own (ours).
        drop_classes: share of episodes that keep only some of the reference's classes.
        imperfect: share of reference masks with a mistake.
        query_anywhere: share of query windows drawn without regard to the classes, which they may lack.
        precision: of the forward pass on CUDA: "auto", "bf16", "fp16" or "fp32". A CPU computes in fp32.
        pictures: epochs between episode pictures; 0 draws none.
        seed: of weights and episodes.
    """

    preset: str = "tiny"
    weights: str = "auto"
    epochs: int = 320
    steps: int = 250
    validation_steps: int = 25
    batch: int = 0
    parts: int = 1
    rate: float = 2e-3
    decay: float = 1e-5
    schedule: str = "exponential"
    floor: float = 0.01
    warmup: float = 0.025
    clip: float = 1.0
    momentum: float = MEMORY_MOMENTUM
    classes: int = 5
    without_memory: float = 0.4
    from_bank: float = 0.5
    drop_classes: float = 0.3
    imperfect: float = 0.3
    query_anywhere: float = 0.2
    precision: str = "auto"
    pictures: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "validation_steps", "parts", "classes", "rate", "clip", "floor"):
            if not getattr(self, name) > 0:
                raise InputError("must be above 0", where=PREFIX + name.upper(), found=getattr(self, name))
        for name in ("batch", "decay", "pictures", "seed"):
            if not getattr(self, name) >= 0:
                raise InputError("is below 0", where=PREFIX + name.upper(), found=getattr(self, name))
        if not 0 <= self.momentum < 1:
            raise InputError(
                "unusable value", where=PREFIX + "MOMENTUM", expected="0 to below 1", found=self.momentum
            )
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    "is a share", where=PREFIX + name.upper(), expected="0 to 1", found=getattr(self, name)
                )
        for name, choices in (("preset", PRESETS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise InputError(
                    "unknown choice",
                    where=PREFIX + name.upper(),
                    expected=f"one of {', '.join(choices)}",
                    found=getattr(self, name),
                )

    @classmethod
    def of_plans(cls, plans: Mapping, environment: Mapping[str, str] | None = None) -> TrainerSettings:
        """The settings of some plans, with what the environment says on top.

        Raises:
            InputError: an unknown key, a variable that is nearly one of ours, or a value of the wrong type or
                range.
        """
        types = {field.name: type(field.default) for field in fields(cls)}
        given = dict(plans.get(KEY, {}).get(PART, {}))
        for key in given:
            if key not in types:
                near = difflib.get_close_matches(key, types, n=1)
                raise InputError(
                    "unknown setting",
                    where=f'plans["{KEY}"]["{PART}"]: {key}',
                    expected=near[0] if near else f"one of {', '.join(types)}",
                )
        _refuse_misspelt(environment or {}, types)
        for name in types:
            if environment and PREFIX + name.upper() in environment:
                given[name] = environment[PREFIX + name.upper()]
        cast: dict[str, Any] = {name: _cast(name, value, types[name]) for name, value in given.items()}
        return cls(**cast)

    def written_into(self, plans: dict) -> dict:
        """The plans with these settings in them; changes and returns the mapping given."""
        plans[KEY] = {**plans.get(KEY, {}), PART: asdict(self)}
        return plans


def _refuse_misspelt(environment: Mapping[str, str], known: Collection[str]) -> None:
    """Other variables may begin as ours do; one that is a slip of the finger away would cost a training."""
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX).lower()
        near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
        if name not in known and near:
            raise InputError(
                "no setting of the trainer", where=variable, expected=PREFIX + near[0].upper(),
                remedy="correct it, or unset it",
            )  # fmt: skip


def _cast(name: str, value: object, kind: type) -> object:
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            "unusable value", where=PREFIX + name.upper(), expected=f"a {kind.__name__}", found=value
        ) from error
