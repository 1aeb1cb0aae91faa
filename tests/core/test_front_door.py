"""Laws of the front door: few names, nothing imported before it is asked for, and the README's lines run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

import iris_core
from sample_data import head
from sample_data.make_phantoms import make_study

ROOT = Path(__file__).parents[2]


def lines_of_the_readme() -> str:
    return re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S).group(1)


def test_every_name_is_there_and_another_one_is_not():
    assert all(getattr(iris_core, name).__name__ == name for name in iris_core.__all__)
    assert set(iris_core.__all__) <= set(dir(iris_core))
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        iris_core.segment  # noqa: B018


def test_the_front_door_imports_nothing_before_it_is_asked():
    code = "import sys, iris_core; print([n for n in ('torch', 'numpy', 'nibabel') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "[]"


def test_the_readmes_eight_lines_run(tmp_path, monkeypatch, capsys):
    for number in (1, 2):
        image, label = (part.slicer[::2, ::2, ::2] for part in make_study(head, seed=3, number=2 * number))
        nib.save(image, tmp_path / f"liver_0{number}.nii.gz")
        nib.save(label, tmp_path / f"liver_0{number}_label.nii.gz")
    (tmp_path / "liver_02_label.nii.gz").unlink()
    lines = lines_of_the_readme()
    assert len([line for line in lines.splitlines() if line.strip()]) == 8
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "README.md", "exec"), {})
    assert nib.load("liver_02_label.nii.gz").shape == nib.load("liver_02.nii.gz").shape
    assert Path("liver.safetensors").is_file() and "label_1" in capsys.readouterr().out
