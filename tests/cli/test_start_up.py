"""How soon `iris` answers, in shares of the processor time of `import torch`, and what it imports before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core import __version__
from iris_core.cli.main import main
from iris_core.cli.other_commands import other_commands

ROOT = Path(__file__).parents[2]
NEVER = {"sympy", "monai", "matplotlib", "sklearn"}
# of the processor time that `import torch` takes: 0.3 s and 4 s where that takes 2
HELP, FIRST_WINDOW = 0.15, 2.0

TORCH = "import time; start = time.process_time(); import torch; print(time.process_time() - start)"
ASK = "import sys, time; from iris_core.cli.main import main; main(['--help']); print(time.process_time())"
# The network is not run: its first window ends the process.
SEGMENT = """
import os, sys, time
from iris_core.cli.main import main

class Watch:
    def find_spec(self, name, path, target=None):
        if name == "iris_core.task.card" or not self.set and name.startswith("iris_core.segmenter"):
            self.set = True
            from iris_core.model.iris import Iris
            Iris.encode_image = ended
    set = False

def ended(self, image, *_, **__):
    print(time.process_time(), *({never} & set(sys.modules)), flush=True)
    os._exit(0)

sys.meta_path.insert(0, Watch())
sys.exit(main(sys.argv[1:]))
""".replace("{never}", repr(NEVER))


def printed(code: str, *arguments: str) -> list[str]:
    """The words of the last line that a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


@pytest.fixture(scope="module")
def torch_seconds() -> float:
    """The processor time of `import torch`; the best of two, since the first may read files from a disk."""
    return min(float(printed(TORCH)[0]) for _ in range(2))


def test_help_takes_a_small_part_of_what_torch_takes_to_import(torch_seconds):
    assert min(float(printed(ASK)[0]) for _ in range(2)) < HELP * torch_seconds


def test_the_first_window_comes_soon_and_without_what_it_does_not_need(torch_seconds, tmp_path):
    image, label = np.zeros((2, 32, 32, 32), np.int16)
    image[:] = np.random.default_rng(0).integers(-100, 100, image.shape)
    label[8:24, 8:24, 8:24] = 1
    for name, array in (("image", image), ("label", label)):
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2, 2, 1])), tmp_path / f"{name}.nii.gz")
    image_file, label_file = (str(tmp_path / f"{name}.nii.gz") for name in ("image", "label"))
    command = ["segment", "--reference", image_file, label_file, "--query", image_file, "--device", "cpu"]

    seconds, *imported = printed(SEGMENT, *command, "--output", str(tmp_path / "out.nii.gz"))

    assert imported == []
    assert float(seconds) < FIRST_WINDOW * torch_seconds


def test_commands_of_other_packages_come_by_entry_points(capsys):
    assert {"serve", "union", "export"} <= other_commands().keys()
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in other_commands())


def test_the_core_names_no_package_that_builds_on_it():
    named = [path for path in (ROOT / "iris_core").rglob("*.py") if names_an_edge(path.read_text("utf-8"))]
    assert named == []


def names_an_edge(code: str) -> bool:
    """Whether a string in a program is the dotted name of a module of an edge."""
    import ast
    import re

    strings = (node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    return any(
        isinstance(text, str) and re.fullmatch(r"(nnunet_trainers|apps)(\.\w+)*", text) for text in strings
    )


def test_a_name_in_a_string_is_seen():
    assert names_an_edge("ROOMS = {'serve': 'apps.iris_app.cli'}") and not names_an_edge("'applied'")


def test_the_version_stands_in_one_place(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"iris {__version__}\n"
    assert "version = attr: iris_core.__version__" in (ROOT / "setup.cfg").read_text("utf-8")
