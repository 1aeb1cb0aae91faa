"""A simulated annotation team on the running server.

python -m benchmarks.simulated_team DATASET --output FOLDER

Studies of a labelled dataset (nnU-Net raw layout) are served without their labels. The "team" asks the server
which study to label next, submits the true label with numbers of its own, and waits until all other studies
are refreshed. After each step the pre-labels of the studies without a label are compared with the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import requests

from iris_core.metrics import dice
from iris_core.volume_io import read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset


class Team:
    """People at a server that runs on a folder of studies.

    Args:
        dataset: images and true labels.
        folder: made and filled.
        studies: how many.
    """

    def __init__(self, dataset: RawDataset, folder: Path, studies: int) -> None:
        self.dataset, self.folder = dataset, folder
        self.cases = {case.name: case for case in dataset.cases[:studies]}
        folder.mkdir(parents=True)
        for name, case in self.cases.items():
            shutil.copy(case.image, folder / f"{name}.nii.gz")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "iris_core.cli",
            "serve",
            str(folder),
            "--port",
            str(port),
            "--quiet",
        ]
        self.server = subprocess.Popen(command)
        self.labelled: list[str] = []

    def ready(self) -> None:
        """Waits for the server."""
        while self.server.poll() is None:
            try:
                requests.get(f"{self.url}/info/", timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.5)
        raise SystemExit("the server did not start")

    def cpu_seconds(self) -> float:
        """What the server and the processes that it started have computed so far."""
        main = psutil.Process(self.server.pid)
        spent = [process.cpu_times() for process in (main, *main.children(recursive=True))]
        return sum(times.user + times.system for times in spent)

    def label_next(self, strategy: str) -> str:
        """Labels the study that the server proposes; its values are numbered in an order of its own."""
        study = requests.post(f"{self.url}/activelearning/{strategy}", json={}).json()["id"]
        image = nib.load(self.cases[study].label)
        array = np.asarray(image.dataobj)
        values = sorted(self.dataset.names, reverse=len(self.labelled) % 2 == 1)
        drawn, info = np.zeros(array.shape, np.uint8), []
        for number, value in enumerate(values, start=1):
            drawn[array == value] = number
            info.append({"name": self.dataset.names[value], "idx": number})
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "label.nii.gz"
            nib.save(nib.Nifti1Image(drawn, image.affine), path)
            requests.put(
                f"{self.url}/datastore/label", params={"image": study, "tag": "final"},
                files={"label": ("label.nii.gz", path.read_bytes())},
                data={"params": json.dumps({"label_info": info})},
            ).raise_for_status()  # fmt: skip
        self.labelled.append(study)
        return study

    def refreshed(self) -> tuple[float, float]:
        """Waits until every other study is pre-labelled from all labels; gives seconds, and CPU seconds."""
        started, spent = time.perf_counter(), self.cpu_seconds()
        wanted = {study: None for study in self.cases if study not in self.labelled}
        while True:
            objects = requests.get(f"{self.url}/datastore/?output=all").json()["objects"]
            used = {
                study: {
                    reference
                    for names in label["info"]["iris"]["references_used"].values()
                    for reference in names
                }
                for study in wanted
                if (label := objects[study]["labels"].get("original"))
            }
            if len(used) == len(wanted) and all(found == set(self.labelled) for found in used.values()):
                return time.perf_counter() - started, self.cpu_seconds() - spent
            time.sleep(0.5)

    def scores(self) -> dict[str, float]:
        """Mean Dice over the classes of every study without a label."""
        numbers = requests.get(f"{self.url}/info/").json()["models"]["in_context"]["labels"]
        scores = {}
        for study in self.cases:
            if study not in self.labelled:
                result = read_label(self.folder / "labels" / "original" / f"{study}.nii.gz").array
                truth = read_label(self.cases[study].label).array
                scores[study] = float(
                    np.mean([dice(truth == v, result == numbers[n]) for v, n in self.dataset.names.items()])
                )
        return scores


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for the figures and the plot")
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument(
        "--labelled", type=int, nargs="+", default=[1, 3, 5], help="after how many to measure"
    )
    parser.add_argument("--strategy", default="next")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    steps = []
    with tempfile.TemporaryDirectory() as scratch:
        team = Team(RawDataset.open(arguments.dataset), Path(scratch) / "studies", arguments.studies)
        try:
            team.ready()
            for wanted in arguments.labelled:
                while len(team.labelled) < wanted:
                    team.label_next(arguments.strategy)
                    seconds, spent = team.refreshed()
                steps.append(
                    {
                        "labelled": list(team.labelled), "seconds": round(seconds, 1),
                        "cpu_seconds": round(spent, 1), "load": round(os.getloadavg()[0], 1),
                        "dice": team.scores(),
                    }
                )  # fmt: skip
                print(_told(steps[-1]), flush=True)
        finally:
            team.server.terminate()
            team.server.wait()
    (arguments.output / "simulated_team.json").write_text(json.dumps(steps, indent=1))
    _plot(steps, arguments.output / "simulated_team.png")


def _told(step: dict) -> str:
    """A step in a line."""
    others = step["dice"].values()
    return (
        f"{len(step['labelled'])} labelled: {len(others)} others refreshed in {step['seconds']} s "
        f"({step['cpu_seconds']} CPU s, load {step['load']}), mean Dice {np.mean(list(others)):.3f}"
    )


def _plot(steps: list[dict], path: Path) -> None:
    """Dice of the studies that no step has labelled, a line each, and their mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    common = sorted(steps[-1]["dice"])
    labelled = [len(step["labelled"]) for step in steps]
    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for study in common:
        axes.plot(labelled, [step["dice"][study] for step in steps], color="0.75", linewidth=1)
    means = [float(np.mean([step["dice"][study] for study in common])) for step in steps]
    axes.plot(labelled, means, color="C0", marker="o", linewidth=2.5, label=f"mean of {len(common)} studies")
    axes.set(xlabel="labelled studies", ylabel="Dice of the others", xticks=labelled)
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
