"""Does training inside nnU-Net teach? One-shot Dice on unseen cases before and after, on the same pairs.

    python benchmarks/nnunet_learning.py DATASET WORK_FOLDER [--epochs N] [--steps N] [--recipe nnunet]

The first 30 cases in name order are trained on (nnU-Net's fold 0 holds 6 of them back), the rest measured.
The memory bank then draws the measured queries, by stock nnUNetv2_predict and by iris segment --bank.
Settings beyond epochs and steps are the trainer's, or IRIS_* in the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.metrics import bootstrap_interval, dice
from iris_core.volume_io import read_label

TRAINED = 30  # cases
LEAST_DRAWN = 100  # voxels
TRAINER = "nnUNetTrainerIris__irisPlans__3d_fullres"


def main() -> int:
    """Runs the comparison and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--spacing", default="1")
    parser.add_argument("--recipe", default="paper", choices=("paper", "nnunet"), help="of intensities")
    arguments = parser.parse_args()
    environment = _environment(arguments.work)
    number = _linked(arguments.dataset, Path(environment["nnUNet_raw"]))
    bin_folder = Path(sys.executable).parent
    plan = [bin_folder / "iris", "plan-and-preprocess", number, "--spacing", arguments.spacing, "-np", "1"]
    plan += ["--recipe", arguments.recipe]
    _run(plan, environment | {"nnUNet_n_proc_DA": "1"})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    settings = {"IRIS_EPOCHS": str(arguments.epochs), "IRIS_STEPS": str(arguments.steps)}
    train = [bin_folder / "nnUNetv2_train", number, "3d_fullres", "0", "-tr", "nnUNetTrainerIris"]
    _run([*train, "-p", "irisPlans", "-device", "cpu"], environment | settings)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
    folder = Path(environment["nnUNet_results"]) / arguments.dataset.name / TRAINER
    results = [
        _evaluated(bin_folder, arguments, environment, weights, name)
        for name, weights in (("shipped", []), ("trained", ["--checkpoint", folder]))
    ]
    print(f"CPU minutes of training, with its validation: {minutes:.1f}")
    print(compared(*results))
    queries = sorted({pair["query"] for pair in results[0]["pairs"]})
    print(_banks(bin_folder, arguments, environment, folder, queries))
    return 0


def compared(shipped: dict, trained: dict) -> str:
    """Mean Dice of two records of `iris evaluate`, and the paired difference with its 95 % interval."""
    first = {(tuple(pair["references"]), pair["query"]): pair["dice"] for pair in shipped["pairs"]}
    second = {(tuple(pair["references"]), pair["query"]): pair["dice"] for pair in trained["pairs"]}
    if first.keys() != second.keys():
        raise SystemExit("the two records do not hold the same pairs")
    queries = [query for _, query in first]
    before, after, gain = (
        bootstrap_interval([value(key) for key in first], seed=0, units=queries)
        for value in (first.get, second.get, lambda key: second[key] - first[key])
    )
    return (
        f"one-shot Dice over {len(first)} pairs, mean over queries: shipped {before.mean:.3f}, "
        f"trained {after.mean:.3f}, difference {gain.mean:+.3f}, "
        f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
    )


def agreement(truths: Path, stock: Path, ours: Path) -> str:
    """Dice of two folders of labels with each other and with the truth.

    Masks of which stock prediction draws fewer than LEAST_DRAWN voxels do not say how alike the two are: they
    take part in Dice with the truth alone.
    """
    scores: dict[tuple[str, str], list[float]] = {}
    for path in sorted(ours.glob("*.nii.gz")):
        sides = {"truth": truths, "stock": stock, "ours": ours}
        maps = {name: read_label(folder / path.name).array for name, folder in sides.items()}
        for value in np.unique(maps["truth"])[1:]:
            pairs = [("truth", "stock"), ("truth", "ours")]
            if (maps["stock"] == value).sum() >= LEAST_DRAWN:
                pairs.append(("stock", "ours"))
            for pair in pairs:
                scores.setdefault(pair, []).append(dice(*(maps[name] == value for name in pair)))
    lines = (
        f"bank, {a} against {b}: Dice {np.mean(one):.3f}, least of {len(one)} masks {np.min(one):.3f}"
        for (a, b), one in scores.items()
    )
    return "\n".join(lines)


def _banks(
    bin_folder: Path, arguments, environment: dict[str, str], folder: Path, queries: Sequence[str]
) -> str:
    images, stock, ours = (arguments.work / name for name in ("queries", "bank_stock", "bank_ours"))
    images.mkdir(exist_ok=True)
    for query in queries:
        if not (images / f"{query}_0000.nii.gz").exists():
            source = arguments.dataset / "imagesTr" / f"{query}_0000.nii.gz"
            (images / source.name).symlink_to(source.resolve())
    where = ["-d", arguments.dataset.name[7:10], "-c", "3d_fullres", "-f", "0", "-tr", "nnUNetTrainerIris"]
    how = ["-p", "irisPlans", "-device", "cpu", "-npp", "1", "-nps", "1"]
    _run([bin_folder / "nnUNetv2_predict", "-i", images, "-o", stock, *where, *how], environment)
    words = ["segment", "--bank", "--checkpoint", folder, "--query", images, "--output", ours, "--overwrite"]
    _run([bin_folder / "iris", *words], environment)
    return agreement(arguments.dataset / "labelsTr", stock, ours)


def _environment(work: Path) -> dict[str, str]:
    discovery = Path(__file__).parents[1] / "nnunet_trainers" / "discovery"
    own = {f"nnUNet_{part}": str(work / part) for part in ("raw", "preprocessed", "results")}
    for folder in own.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    defaults = {"nnUNet_extTrainer": str(discovery), "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}
    return {"IRIS_VALIDATION_STEPS": "6", "IRIS_BATCH": "1", **os.environ, **defaults, **own}


def _linked(dataset: Path, raw: Path) -> str:
    """Links the first cases into a dataset of the same name.

    Returns:
        Its number.
    """
    target = raw / dataset.name
    cases = sorted(path.name for path in (dataset / "labelsTr").glob("*.nii.gz"))[:TRAINED]
    for part in ("imagesTr", "labelsTr"):
        (target / part).mkdir(parents=True, exist_ok=True)
    for name in cases:
        image = name.replace(".nii.gz", "_0000.nii.gz")
        for part, file in (("labelsTr", name), ("imagesTr", image)):
            if not (target / part / file).exists():
                (target / part / file).symlink_to((dataset / part / file).resolve())
    description = json.loads((dataset / "dataset.json").read_text())
    (target / "dataset.json").write_text(json.dumps({**description, "numTraining": len(cases)}))
    return dataset.name[7:10]


def _evaluated(bin_folder: Path, arguments, environment: dict, weights: list, name: str) -> dict:
    file = arguments.work / f"{name}.json"
    count = len(list((arguments.dataset / "labelsTr").glob("*.nii.gz")))
    words = ["evaluate", arguments.dataset, "--cases", f"{TRAINED + 1}-{count}", "--references", "3"]
    _run([bin_folder / "iris", *words, "--queries", "8", "--json", file, *weights], environment)
    return json.loads(file.read_text())


def _run(words: list, environment: dict[str, str]) -> None:
    subprocess.run([str(word) for word in words], env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
