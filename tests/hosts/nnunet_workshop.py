"""Workshop: a folder with nnU-Net's three, and the commands that a user types run in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TRAINER, PLANS = "nnUNetTrainerIris", "irisPlans"


class Workshop:
    """One dataset's training on one core.

    Args:
        root: an empty folder, or one whose raw/ holds datasets.
        dataset: "DatasetNNN_Name".
        settings: IRIS_* in the environment of every command.
    """

    def __init__(self, root: Path, dataset: str, settings: Mapping[str, str]) -> None:
        self.root, self.number = root, dataset[7:10]
        self.training = root / "results" / dataset / f"{TRAINER}__{PLANS}__3d_fullres"
        self.fold = self.training / "fold_0"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IRIS_")},
            **settings,
            **{f"nnUNet_{part}": str(root / part) for part in ("raw", "preprocessed", "results")},
            "nnUNet_n_proc_DA": "0",
            "nnUNet_def_n_proc": "1",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        (root / "results").mkdir()
        self.environment["nnUNet_extTrainer"] = self.run("iris", "trainer-path").strip()

    def run(self, *words: object, **variables: str) -> str:
        """Runs a command to its end and gives all that it printed."""
        done = subprocess.run(
            _command(words), env=self.environment | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def plan(self, *words: object) -> str:
        """Plans with the recipe that stock prediction can repeat."""
        return self.run("iris", "plan-and-preprocess", self.number, "--recipe", "nnunet", "-np", "1", *words)

    def train(self, *words: object, **variables: str) -> str:
        """Trains fold 0 on the CPU."""
        return self.run(*self._training(), *words, **variables)

    def train_and_kill(self, epoch: int) -> str:
        """Trains until an epoch has begun, then sends SIGKILL; gives what was printed."""
        log = self.root / "killed.txt"
        with open(log, "w") as file:
            process = subprocess.Popen(
                _command(self._training()), env=self.environment, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
            limit = time.monotonic() + 300
            while not re.search(rf"Epoch {epoch}\b", log.read_text()):
                assert process.poll() is None and time.monotonic() < limit, log.read_text()[-4000:]
                time.sleep(0.5)
            time.sleep(2)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return log.read_text()

    def predict(self, images: Path, output: Path) -> None:
        """Segments a folder by stock nnUNetv2_predict."""
        where = ["-d", self.number, "-c", "3d_fullres", "-f", "0", "-tr", TRAINER, "-p", PLANS]
        one = ["-device", "cpu", "-npp", "1", "-nps", "1"]
        self.run("nnUNetv2_predict", "-i", images, "-o", output, *where, *one)

    def segment_by_bank(self, images: Path, output: Path) -> None:
        """Segments a folder by our own command."""
        weights = ["--checkpoint", self.training]
        self.run("iris", "segment", "--bank", *weights, "--query", images, "--output", output)

    def _training(self) -> list[str]:
        how = ["-tr", TRAINER, "-p", PLANS, "-device", "cpu"]
        return ["nnUNetv2_train", self.number, "3d_fullres", "0", *how]


def _command(words) -> list[str]:
    first, *rest = map(str, words)
    return [str(Path(sys.executable).parent / first), *rest]


def compared(ours: Path, theirs: Path, values: range, least: int = 100) -> list[float]:
    """Dice of each class in two folders of labels, where theirs draws `least` voxels or more.

    Fewer voxels than that, and one of them alone is more than 1 %.
    """
    import numpy as np

    from iris_core.metrics import dice
    from iris_core.volume_io import read_label

    found = []
    for file in sorted(theirs.glob("*.nii.gz")):
        first, second = read_label(ours / file.name), read_label(file)
        assert np.allclose(first.affine, second.affine)
        assert np.mean(first.array == second.array) > 0.999
        for value in values:
            if (second.array == value).sum() >= least:
                found.append(dice(first.array == value, second.array == value))
    return found
