"""The layers of the house: who may import whom, at any depth, function bodies included."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.imports import imported_names

ROOT = Path(__file__).parents[2]

# Package -> packages that it never imports.
NEVER = {
    "iris_core": {"nnunetv2", "monailabel", "nnunet_trainers", "apps"},
    "nnunet_trainers": {"apps", "monailabel"},
    "apps": {"nnunet_trainers"},
    "sample_data": {"iris_core", "nnunet_trainers", "apps"},  # phantoms share no generator with the synthesis
}

# Rooms of iris_core, bottom to top. A room imports its own layer and those before it. Where a part of a room
# lies lower than the rest, it has a line of its own, with a dot.
LAYERS = (
    # facts, arrays and files
    {"errors", "config", "allocator", "progress", "remarks", "triple"},
    {"volume"},
    {"volume_io", "stored"},
    # the network
    {"task.embedding", "model", "windows"},
    # what feeds it and what judges it
    {"preprocessing", "prediction", "task.reference", "metrics"},
    {"training.losses", "training.synthesis", "bank.memory_bank"},
    # what uses it
    {"inference", "quality", "segmenter", "strategies", "task", "task_encoding", "task_prediction"}
    | {"checkpoint", "training"},
    {"bank"},
    {"evaluation", "runs"},
    {"cli"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# Rooms that run on a bare GPU machine: besides iris_core only these, and the standard library.
BARE_ROOMS = {"model", "training.synthesis", "training.losses"}
BARE_PACKAGES = {"torch", "numpy", "scipy", "iris_core"}


def room_of(root: Path, name: str) -> str | None:
    """The room of iris_core that a dotted name lies in; None for a name of iris_core's own front door."""
    parts = name.split(".")
    if len(parts) < 2 or parts[0] != "iris_core":
        return None
    if ".".join(parts[1:3]) in RANK:
        return ".".join(parts[1:3])
    place = root / "iris_core" / parts[1]
    return parts[1] if place.is_dir() or place.with_suffix(".py").is_file() else None


def broken_by(root: Path, package: str, room: str | None, name: str) -> str | None:
    """The rule that importing `name` breaks in a file of `package` (and `room`), or None."""
    top = name.split(".")[0]
    if top in NEVER[package]:
        return f"{package} never imports {top}"
    target = room_of(root, name)
    if room in RANK and target is not None and RANK.get(target, 0) > RANK[room]:
        return f"iris_core.{room} lies below iris_core.{target}"
    if room in BARE_ROOMS and top not in BARE_PACKAGES | sys.stdlib_module_names:
        return f"iris_core.{room} imports nothing but {', '.join(sorted(BARE_PACKAGES))}"
    return None


def violations(root: Path) -> list[str]:
    """One line for each broken rule: file, line, what it imports, the rule."""
    found = []
    for package in NEVER:
        for source in sorted((root / package).rglob("*.py")):
            own = ".".join(source.relative_to(root).with_suffix("").parts)
            room = room_of(root, own) if own != "iris_core.__init__" else None
            where = source.relative_to(root).as_posix()
            if room is not None and room not in RANK:
                found.append(f"{where}: the room '{room}' has no layer; give it one in test_layers.py")
            for line, name in imported_names(root, source):
                rule = broken_by(root, package, room, name)
                if rule:
                    found.append(f"{where}:{line} imports {name}, but {rule}")
    return found


def test_every_import_keeps_to_the_layers():
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "code", "rule"),
    [
        ("iris_core/task/task.py", "def f():\n    import nnunetv2.run", "iris_core never imports nnunetv2"),
        ("nnunet_trainers/a/b.py", "from apps.iris_app import main", "nnunet_trainers never imports apps"),
        ("apps/iris_app/lib/x.py", "import nnunet_trainers", "apps never imports nnunet_trainers"),
        ("iris_core/volume/a.py", "from ..model.iris import Iris", "volume lies below iris_core.model"),
        ("iris_core/volume/a.py", "from iris_core import model", "volume lies below iris_core.model"),
        ("iris_core/training/synthesis/a.py", "from ... import segmenter", "lies below iris_core.segmenter"),
        ("iris_core/training/losses.py", "if 1:\n    import monai", "losses imports nothing but"),
        ("iris_core/task/card.py", "importlib.import_module('apps.x')", "iris_core never imports apps"),
        ("iris_core/attic.py", "", "the room 'attic' has no layer"),
        ("sample_data/make.py", "import iris_core.training.synthesis", "sample_data never imports iris_core"),
    ],
)
def test_a_planted_violation_is_named_with_its_file_and_rule(tmp_path, path, code, rule):
    for room in ("model/__init__.py", "segmenter.py"):
        neighbour = tmp_path / "iris_core" / room
        neighbour.parent.mkdir(parents=True, exist_ok=True)
        neighbour.touch()
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(code)

    (found,) = violations(tmp_path)

    assert found.startswith(path) and rule in found


def test_imports_downward_and_within_a_layer_are_allowed(tmp_path):
    room = tmp_path / "iris_core"
    (room / "training").mkdir(parents=True)
    (room / "volume.py").write_text("from .errors import InputError\nimport nibabel")
    (room / "errors.py").write_text("import sys")
    (room / "training/losses.py").write_text("import math, torch\nfrom iris_core.errors import InputError")

    assert violations(tmp_path) == []


def test_the_page_of_the_architecture_lists_these_layers():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. (.+)$", page.split("## Layers")[1], re.M)
    assert [set(line.split(", ")) for line in listed] == [set(rooms) for rooms in LAYERS]
