"""Dice with references of which only some slices are labelled, beside that with the whole label.

    python -m benchmarks.sparse_labels R/Dataset901_HippocampusMR:31-60 phantom-ct phantom-mr [--every 5]

The first studies of each set are references, one at a time, the next ones queries. One row a set, axis and
kind of label: how much of the label is left or guessed rightly (Dice of the completed label with the whole
one), the result's mean Dice without and with --sparse, and its share of what the whole label gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from benchmarks.analyses.bench.studies import open_studies
from iris_core.checkpoint import load_model
from iris_core.metrics import dice_per_class, mean_dice
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.unknown import completed, without_gaps
from iris_core.volume.volume import LabelVolume

STROKE = 1  # voxels around the middle line of a stroke


def every_nth(label: LabelVolume, axis: int, step: int) -> LabelVolume:
    """The label in every so many slices; the first one is the second that shows anything."""
    drawn = np.flatnonzero((label.array > 0).any(axis=_others(axis)))
    kept = np.zeros(label.shape[axis], bool)
    kept[(drawn[0] + 1) % step :: step] = True
    return _only(label, np.broadcast_to(np.expand_dims(kept, _others(axis)), label.shape))


def one_slice(label: LabelVolume, axis: int) -> LabelVolume:
    """Each class in the slice that shows most of it."""
    kept = np.zeros(label.shape, bool)
    for value in label.values:
        mask = label.array == value
        best = int(mask.sum(axis=_others(axis)).argmax())
        plane = tuple(best if a == axis else slice(None) for a in range(3))
        kept[plane] |= mask[plane]
    return _only(label, kept)


def strokes(label: LabelVolume, axis: int) -> LabelVolume:
    """One straight stroke through each class in every fifth slice, along its longer side."""
    kept = np.zeros(label.shape, bool)
    sparse = every_nth(label, axis, 5)
    for value in sparse.values:
        planes = np.moveaxis(sparse.array == value, axis, 0)
        for k in np.flatnonzero(planes.any(axis=(1, 2))):
            rows, columns = np.nonzero(planes[k])
            along = int(np.ptp(columns) > np.ptp(rows))
            middle = int(np.median((rows, columns)[1 - along]))
            line = np.zeros(planes.shape[1:], bool)
            band = slice(max(0, middle - STROKE // 2), middle + STROKE // 2 + 1)
            line[(slice(None), band) if along == 0 else (band, slice(None))] = True
            np.moveaxis(kept, axis, 0)[k] |= line & planes[k]
    return _only(label, kept)


def _only(label: LabelVolume, kept: np.ndarray) -> LabelVolume:
    return replace(label, array=np.where(kept, label.array, 0).astype(label.array.dtype))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(3) if a != axis)


def scored(segmenter: Segmenter, reference: Reference, queries: list[Reference], sparse: str) -> float:
    """Mean Dice over the queries; classes that the reference lost count as 0."""
    task = encode_task(segmenter, [reference], sparse=sparse)
    found = []
    for query in queries:
        result = apply_task(segmenter, task, query.image).label
        found.append(mean_dice(dice_per_class(query.label.array, result.array, query.label.values)))
    return float(np.mean(found))


def kinds(arguments: argparse.Namespace) -> Iterator[tuple[str, str, object]]:
    """(what, how --sparse takes it, label -> sparse label) for one axis after the other."""
    for axis in arguments.axes:
        for step in arguments.every:
            yield f"1 of {step}, axis {axis}", "slices", lambda label, a=axis, n=step: every_nth(label, a, n)
        if arguments.one:
            yield f"one slice, axis {axis}", "slices", lambda label, a=axis: one_slice(label, a)
        if arguments.strokes:
            yield f"strokes, axis {axis}", "scribbles", lambda label, a=axis: strokes(label, a)


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", help="FOLDER, FOLDER:31-60, phantom-ct, phantom-mr")
    parser.add_argument("--references", type=int, default=1)
    parser.add_argument("--queries", type=int, default=3)
    parser.add_argument("--every", type=int, nargs="*", default=[5])
    parser.add_argument("--axes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--one", action="store_true", help="one slice as well")
    parser.add_argument("--strokes", action="store_true", help="strokes as well")
    parser.add_argument(
        "--plain", action="store_true", help="also what the sparse label gives without --sparse"
    )
    parser.add_argument("--no-mirroring", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model()
    settings = loaded.inference.without(*["mirroring"] * arguments.no_mirroring)
    segmenter = Segmenter(loaded.model, recipe=loaded.recipe, settings=settings)
    print("set | label | of the label | without | with --sparse | whole label | share")
    for spec in arguments.sets:
        studies = [one.reference for one in open_studies(spec, arguments.references + arguments.queries)]
        references, queries = studies[: arguments.references], studies[arguments.references :]
        whole = float(np.mean([scored(segmenter, one, queries, "no") for one in references]))
        for what, how, cut in kinds(arguments):
            rows = []
            for one in references:
                sparse = replace(one, label=cut(one.label))
                guess = completed(without_gaps(sparse.label, how), one.image).array
                kept = mean_dice(dice_per_class(one.label.array, guess, one.label.values))
                plain = scored(segmenter, sparse, queries, "no") if arguments.plain else np.nan
                rows.append((kept, plain, scored(segmenter, sparse, queries, how)))
            kept, plain, found = np.mean(rows, axis=0)
            line = f"{kept:.3f} | {plain:.3f} | {found:.3f} | {whole:.3f} | {found / whole:.3f}"
            print(f"{spec.rpartition('/')[2]} | {what} | {line}", flush=True)


if __name__ == "__main__":
    main()
