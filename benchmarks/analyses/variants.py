"""Short trainings that differ in one thing, at equal budget, and how each does on tasks it never saw.

Every variant trains for the same minutes on synthetic tasks from the same seed. Some families of anatomies
are held out; Dice on fixed episodes of them is the figure for unseen classes. A folder that holds a finished
variant is not trained again; one that a run left half-way goes on from its weights.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from iris_core.checkpoint import load_model
from iris_core.cli.engine import choose_device
from iris_core.cli.options import count, names
from iris_core.errors import InputError
from iris_core.model.iris import Iris
from iris_core.training.pretraining import Settings, pretrain
from iris_core.training.pretraining.recipe import Shape
from iris_core.training.pretraining.segment import recipe_for
from iris_core.training.pretraining.step import answer
from iris_core.training.synthesis import synthesise
from iris_core.training.synthesis.families import FAMILIES

LOG = logging.getLogger(__name__)
HELD_OUT = ("brain", "heart")
PLAIN = {"similarity": False, "correspondence": False, "place": False}  # the paper's network
SMALL = 0.005  # of the window, below which a structure counts as small
EPISODE_SEED, CLASSES = 4243, 4
KINDS = ("trained", "small", "unseen")


@dataclass(frozen=True)
class Variant:
    """One training.

    Attributes:
        name: in tables.
        families: of anatomies to train on.
        changes: of the preset's config.
        seed: of the training; None for the command line's.
    """

    name: str
    families: tuple[str, ...]
    changes: Mapping[str, object] = field(default_factory=dict)
    seed: int | None = None


def add_arguments(
    parser: argparse.ArgumentParser, *, network: str, held_out: tuple[str, ...] = HELD_OUT
) -> None:
    """Adds the options of trainings.

    Args:
        parser: of the analysis.
        network: default, "plain" or "extended".
        held_out: default, families that no variant trains on.
    """
    parser.add_argument("--minutes", type=float, default=30, help="of training a variant (default: 30)")
    parser.add_argument("--steps", type=count, help="of training a variant, in place of minutes")
    parser.add_argument("--preset", default="tiny", help="(default: tiny)")
    parser.add_argument(
        "--network", choices=("plain", "extended"), default=network,
        help=f"the paper's network alone, or with our extensions (default: {network})",
    )  # fmt: skip
    parser.add_argument(
        "--held-out",
        type=names,
        default=held_out,
        metavar="A,B",
        help=f"families (default: {','.join(held_out) or 'none'})",
    )
    parser.add_argument("--batch", type=count, metavar="N", help="pairs of people in a step")
    parser.add_argument("--episodes", type=int, default=24, help="of each kind to measure on (default: 24)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0)


def trained_families(held_out: Sequence[str]) -> tuple[str, ...]:
    """All families but the held-out ones, the most frequent first.

    Raises:
        InputError: an unknown family, or none left.
    """
    for name in held_out:
        if name not in FAMILIES:
            raise InputError("no such family", where=name, expected=f"some of {', '.join(FAMILIES)}")
    left = sorted(set(FAMILIES) - set(held_out), key=lambda name: (-FAMILIES[name][1], name))
    if not left:
        raise InputError("no family is left to train on", where="--held-out")
    return tuple(left)


def train(variant: Variant, arguments: argparse.Namespace) -> Path:
    """The checkpoint of a variant, trained where it is not yet."""
    folder = arguments.output / arguments.name / variant.name.replace(" ", "_")
    path, done, whole = folder / "last.safetensors", 0.0, arguments.steps or arguments.minutes * 0.99
    if path.is_file():
        meta = load_model(path).meta
        recipe = meta.get("run", {}).get("recipe", {})
        told = None if recipe.get("minutes") else recipe.get("steps")
        if told != arguments.steps and (told or arguments.steps):
            raise InputError(
                "was trained with another budget", where=path, expected=spoken_budget(vars(arguments)),
                found=f"{told} steps" if told else "minutes", remedy="use another --output",
            )  # fmt: skip
        done = meta["steps"] if arguments.steps else float(meta["seconds"]) / 60
    if done >= whole:
        return path
    device = choose_device(arguments.device)
    seed = arguments.seed if variant.seed is None else variant.seed
    settings = Settings(
        output=folder, preset=arguments.preset,
        changes=(PLAIN if arguments.network == "plain" else {}) | dict(variant.changes),
        recipe=recipe_for(device, arguments.batch, families=variant.families, seed=seed),
        resume=path if done else None, device=device, **_budget(arguments, done),
    )  # fmt: skip
    return pretrain(settings)


def _budget(arguments: argparse.Namespace, done: float) -> dict[str, float]:
    if arguments.steps:
        return {"steps": arguments.steps}
    return {"minutes": arguments.minutes - done, "total_minutes": arguments.minutes}


@torch.no_grad()
def episode_dice(
    model: Iris, families: Sequence[str], episodes: int, shape: Shape, device: str
) -> list[tuple[int, float, float]]:
    """(episode, share of the window, Dice) of every mask in fixed one-shot episodes of some families."""
    generator = torch.Generator().manual_seed(EPISODE_SEED)
    found = []
    for number in range(episodes):
        family = families[number % len(families)]
        batch = synthesise(1, CLASSES, shape, generator, device=device, families=[family])
        reference, query = (model.encode_image(one) for one in (batch.reference_image, batch.query_image))
        logits = answer(model, batch, reference, query, batch.reference_mask)[1].logits
        for k in torch.nonzero((batch.valid & batch.present)[0]).flatten().tolist():
            truth, result = batch.query_mask[0, k] > 0, logits[0, k] > 0
            both = 2 * float((truth & result).sum()) / float(truth.sum() + result.sum())
            found.append((number, float(truth.float().mean()), both))
    return found


def measured(variant: Variant, path: Path, arguments: argparse.Namespace, known: Sequence[str]) -> dict:
    """The row of a variant: steps, and every mask's Dice on trained, small and unseen structures.

    Args:
        variant: what was trained.
        path: its weights.
        arguments: of the command line.
        known: families that all variants count as trained.
    """
    device = choose_device(arguments.device)
    loaded, side = load_model(path, device), (64 if device == "cuda" else 48)
    row = {"variant": variant.name, "families": list(variant.families), "steps": loaded.meta["steps"],
           "minutes": round(float(loaded.meta["seconds"]) / 60, 2)}  # fmt: skip
    for kind, families in (("trained", known), ("unseen", arguments.held_out)):
        found = episode_dice(loaded.model, families, arguments.episodes, (side,) * 3, device)
        row[kind] = [[episode, both] for episode, _, both in found]
        if kind == "trained":
            row["small"] = [[episode, both] for episode, share, both in found if share < SMALL]
    return row


def training_conditions(arguments: argparse.Namespace) -> dict:
    """The head of a record of trainings, without rows yet."""
    told = {name: getattr(arguments, name) for name in ("minutes", "steps", "preset", "network", "batch")}
    return conditions(**told, held_out=list(arguments.held_out), rows=[])


def spoken_budget(record: dict) -> str:
    """What a variant could spend, in words."""
    return f"{record['steps']} steps" if record.get("steps") else f"{record['minutes']:g} minutes"


def run_variants(
    arguments: argparse.Namespace, variants: Sequence[Variant], keep: Callable[[dict], None]
) -> None:
    """Trains and measures variants one after the other; `keep` gets the record after each."""
    known = variants[0].families if len({v.families for v in variants}) == 1 else ()
    record = training_conditions(arguments)
    for variant in variants:
        path = train(variant, arguments)
        record["rows"].append(measured(variant, path, arguments, known or variant.families))
        LOG.info("%s: %d steps", variant.name, record["rows"][-1]["steps"])
        keep(record)


def table(record: dict, first: str) -> str:
    """A line a variant.

    Args:
        record: of the runs.
        first: what the variants differ in.
    """
    lines = [
        [row["variant"], row["minutes"], row["steps"], *(spoken(found) if found else "no mask"
         for found in (spread(row, kind) for kind in KINDS))]
        for row in record["rows"]
    ]  # fmt: skip
    small = f"of them under {SMALL:.1%} of the window"
    unseen = f"unseen families ({', '.join(record['held_out'])})"
    return markdown([first, "minutes", "steps", "trained families", small, unseen], lines)


def spread(row: dict, kind: str):
    """Interval of a row's Dice over episodes; None where nothing was measured."""
    pairs = row[kind]
    return interval([both for _, both in pairs], [episode for episode, _ in pairs]) if pairs else None


def draw_line(record: dict, figure, places: Sequence[float], xlabel: str, title: str) -> None:
    """Dice on unseen families against a number."""
    found = [spread(row, "unseen") for row in record["rows"]]
    figure.set_size_inches(5, 3.6)
    axes = figure.subplots()
    ends = np.array([[one.mean - one.low, one.high - one.mean] for one in found]).T
    axes.errorbar(places, [one.mean for one in found], yerr=ends, marker="o", capsize=3, color="C0")
    axes.set_xticks(places)
    axes.set(xlabel=xlabel, ylabel="Dice on unseen families")
    axes.set_ylim(bottom=0)
    axes.set_title(f"{title}\n{spoken_budget(record)} a variant, {record['network']} network", fontsize=9)
