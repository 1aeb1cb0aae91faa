"""Fits the quality estimate: true Dice against what the network tells, on validation and synthetic pairs.

    python -m benchmarks.quality R/Dataset901_HippocampusMR [--checkpoint FILE] [--no-mirroring]

Pairs are whole queries with one reference and with five, queries cut in half along one axis, phantoms, and
synthetic episodes; each kind weighs the same. Prints TWICE, or ONCE where nothing is mirrored, for
iris_core/quality.py and how far the estimate is off, per kind.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit

from benchmarks.analyses.bench.studies import open_studies
from iris_core.checkpoint import load_model
from iris_core.inference.pipeline import Asked, PreparedQuery, segment_query
from iris_core.metrics import dice
from iris_core.preprocessing.prepare import prepare_masks
from iris_core.quality import LEAST, MOST, ONCE, TWICE, calibrated, soft_overlap
from iris_core.segmenter import Segmenter
from iris_core.strategies import ensemble
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.training.synthesis import synthesise
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset

SETS, QUERIES, EPISODES, SEVERAL = 4, 5, 24, 5
PHANTOM_QUERIES = 4


def halved(study: Reference) -> Reference:
    """The upper half of a study along its first axis."""
    start = study.image.shape[0] // 2
    affine = study.image.affine.copy()
    affine[:3, 3] += start * affine[:3, 0]
    image = Volume(np.ascontiguousarray(study.image.array[start:]), affine)
    label = replace(study.label, array=np.ascontiguousarray(study.label.array[start:]), affine=affine)
    return Reference(image, label, study.name)


def episode(generator: torch.Generator) -> tuple[Reference, Reference]:
    """A synthetic reference and query of three classes at 1 mm."""
    batch = synthesise(1, 3, (48, 48, 48), generator)

    def study(image: torch.Tensor, masks: torch.Tensor) -> Reference:
        array = np.zeros(image.shape[-3:], np.uint8)
        for index, mask in enumerate(masks[0].numpy()):
            array[mask > 0] = index + 1
        label = LabelVolume(array, np.eye(4), {v: f"class {v}" for v in (1, 2, 3)}, {})
        return Reference(Volume(image[0, 0].numpy(), np.eye(4)), label, "synthetic")

    reference = study(batch.reference_image, batch.reference_mask)
    return reference, study(batch.query_image, batch.query_mask)


def overlaps(segmenter: Segmenter, task, query: Reference) -> list[tuple[float, float, int]]:
    """(overlap, true Dice, references) of every class that was found and that the truth holds."""
    found = []
    prepared = PreparedQuery.of(query.image, task.modality, task.spacing)
    values = [c.value for c in task.classes if (query.label.array == c.value).any()]
    truth = dict(zip(values, prepare_masks(query.label, values, prepared.grid) > 0.5, strict=True))
    seen = segment_query(segmenter, prepared, Asked.of(ensemble(task.pool, task.names)[0]))
    for info, one in zip(task.classes, seen.values(), strict=True):
        if info.value in truth and bool((one.logits > 0).any()):
            score = dice(truth[info.value].numpy(), (one.logits > 0).numpy())
            alike = 1.0 if one.pass_dice is None else one.pass_dice
            found.append((alike * soft_overlap(one.logits), score, len(task.pool)))
    return found


def main() -> None:
    """Runs the fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--cases", default="1-30")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--no-mirroring", action="store_true")
    arguments = parser.parse_args()
    loaded, draw = load_model(arguments.checkpoint), random.Random(0)
    settings = loaded.inference.without(*["mirroring"] * arguments.no_mirroring)
    segmenter = Segmenter(loaded.model, recipe=loaded.recipe, settings=settings)
    name, fit_now = ("TWICE", TWICE) if settings.mirroring.enabled else ("ONCE", ONCE)
    dataset = RawDataset.open(arguments.dataset)
    cases = dataset.chosen(arguments.cases)

    def study(case) -> Reference:
        return Reference(
            read_image(case.image), read_label(case.label, labels=dataset.label_names), case.name
        )

    rows: dict[str, list] = {"whole": [], "halved": [], "several": [], "phantom": [], "synthetic": []}
    for case in draw.sample(cases, SETS):
        task = encode_task(segmenter, [study(case)])
        for other in draw.sample([c for c in cases if c != case], QUERIES):
            query = study(other)
            rows["whole"] += overlaps(segmenter, task, query)
            rows["halved"] += overlaps(segmenter, task, halved(query))
    for _ in range(SETS):
        chosen = draw.sample(cases, SEVERAL)
        task = encode_task(segmenter, [study(case) for case in chosen])
        for other in draw.sample([c for c in cases if c not in chosen], QUERIES):
            rows["several"] += overlaps(segmenter, task, study(other))
    for spec in ("phantom-ct", "phantom-mr"):
        first, *others = (one.reference for one in open_studies(spec, 1 + PHANTOM_QUERIES))
        task = encode_task(segmenter, [first], modality=spec.removeprefix("phantom-"))
        for query in others:
            rows["phantom"] += overlaps(segmenter, task, query)
    generator = torch.Generator().manual_seed(77)
    for _ in range(EPISODES):
        reference, query = episode(generator)
        if reference.label.values:
            task = encode_task(segmenter, [reference], modality="mr", spacing=1.0)
            rows["synthetic"] += overlaps(segmenter, task, query)

    kinds = np.repeat(list(rows), [len(found) for found in rows.values()])
    soft, true, count = np.array([entry for found in rows.values() for entry in found]).T
    x, more = logit(soft.clip(LEAST, MOST)), np.log(count)
    weight = np.array([1 / len(rows[kind]) for kind in kinds])

    def fitted(b: np.ndarray) -> np.ndarray:
        return expit(b[0] + b[1] * x + b[2] * more)

    fit = minimize(lambda b: (weight * (fitted(b) - true) ** 2).sum(), [0.0, 1.0, 0.0]).x
    print(f"{name} = Fit({fit[0]:.2f}, {fit[1]:.2f}, {fit[2]:.2f})")
    now = np.array([calibrated(one, fit_now, int(n)) for one, n in zip(soft, count, strict=True)])
    for kind in rows:
        here = kinds == kind
        off = [np.abs(guess - true)[here].mean() for guess in (soft, now, fitted(fit))]
        print(f"{kind:10s} {here.sum():4d} masks, Dice {true[here].mean():.3f}; off by {off[0]:.3f} raw, "
              f"{off[1]:.3f} as it is, {off[2]:.3f} with this fit")  # fmt: skip


if __name__ == "__main__":
    main()
