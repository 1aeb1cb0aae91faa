"""The whole run as plain JSON types: settings, every pair with every class, and the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from iris_core.evaluation.cost import Cost
from iris_core.evaluation.measurement import COPY, MODEL, Measurement, Pair
from iris_core.evaluation.methods import absent_shares
from iris_core.evaluation.summary import Summary
from iris_core.runs.report import versions


def as_record(
    dataset: Path,
    command: Sequence[str],
    weights: Mapping[str, str],
    device: str,
    measurement: Measurement,
    summary: Summary | None,
    names: Mapping[int, str],
    *,
    asked: int | None = None,
) -> dict:
    """Everything that is needed to check or redo the figures.

    Args:
        dataset: the dataset's folder; only its name is recorded.
        command: the words of the command line.
        weights: preset, fingerprint and origin of the weights.
        device: where the network ran.
        measurement: all pairs, or those measured so far.
        summary: their means; None while the run goes on.
        names: value -> class name.
        asked: number of pairs that the whole run measures; None: as many as these.
    """
    return {
        "dataset": dataset.resolve().name,
        "command": list(command),
        "versions": versions(),
        "device": device,
        "pairs_asked": len(measurement.pairs) if asked is None else asked,
        "weights": dict(weights),
        "summary": None if summary is None else asdict(summary),
        "encode_seconds": [round(cost.seconds or 0.0, 3) for cost in measurement.encoding],
        "pairs": [_pair_entry(pair, names) for pair in measurement.pairs],
    }


def _pair_entry(pair: Pair, names: Mapping[int, str]) -> dict:
    peers = [method for method in pair.scores if method not in (MODEL, COPY)]
    classes = {}
    for value, score in pair.scores.get(MODEL, {}).items():
        classes[names[value]] = {
            "dice": score.dice,
            "expected_dice": pair.expected.get(names[value]),
            "copy_dice": pair.scores[COPY][value].dice,
            **{f"{peer}_dice": pair.scores[peer][value].dice for peer in peers},
            "truth_voxels": score.truth_voxels,
            "result_voxels": score.result_voxels,
            "false_positive_voxels": score.false_positive_voxels,
            "usual_voxels": pair.usual.get(value),
        }
    return {
        "set": pair.set_index,
        "references": list(pair.references),
        "query": pair.query,
        "patient": pair.group,
        "dice": pair.dice(),
        "copy_dice": pair.dice(COPY),
        **{f"{peer}_dice": pair.dice(peer) for peer in peers},
        "copied": pair.copied_how,
        "seconds": round(pair.seconds, 3),
        "failure": pair.failures.get(MODEL),
        "peer_failures": {method: why for method, why in pair.failures.items() if method != MODEL},
        "warnings": list(pair.warnings),
        "methods": {method: _method_entry(pair, method, names) for method in pair.scores},
        "classes": classes,
    }


def _method_entry(pair: Pair, method: str, names: Mapping[int, str]) -> dict:
    cost = pair.costs.get(method, Cost(None))
    shares = absent_shares(pair, method)
    return {
        "seconds": None if cost.seconds is None else round(cost.seconds, 3),
        "peak_mb": cost.peak_mb,
        "classes": {
            names[value]: {
                "dice": score.dice,
                "result_voxels": score.result_voxels,
                "false_positive_voxels": score.false_positive_voxels,
                "absent_share": shares.get(value),
            }
            for value, score in pair.scores[method].items()
        },
    }
