"""The plan of the long run: its network, its recipe, what it starts from and what it is measured on.

docs/decisions/0090 and 0091 say why. The layers are frozen in shape while the run lasts.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.control_episodes import FOLDER, SETS, read_episodes, write_episodes
from benchmarks.long_run import worker as work
from benchmarks.long_run.landing import LANDED
from iris_core.checkpoint import load_model
from iris_core.config import ModelConfig, preset
from iris_core.errors import InputError
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.training.pretraining.recipe import Recipe
from iris_core.training.pretraining.run import Run
from iris_core.training.synthesis import FAMILIES, synthesise

CONFIG: ModelConfig = preset("tiny", deep_vectors=True, balanced_tokens=True)
RECIPE = Recipe()
NEW_SEED, NEW_CLASSES, NEW_SHAPE, NEW_ROUNDS = 31_415, 5, (48, 48, 32), 2  # of the second control set


def start() -> Iris:
    """The shipped weights; what they lack begins as nothing, so that the network answers as they do."""
    model = build(CONFIG, seed=RECIPE.seed)
    new = ("mask_decoder.deep_vector.", "mask_decoder.log_", "token_gain")
    missing, unexpected = model.load_state_dict(load_model().model.state_dict(), strict=False)
    if unexpected or any(not name.startswith(new) for name in missing):
        raise InputError("the shipped weights do not fit the plan", expected="the layers of `tiny`",
                         found=", ".join([*missing, *unexpected]))  # fmt: skip
    return model


def worker(folder: Path) -> Run:
    """The run in a folder, as planned."""
    work.quiet_threads()
    controls = {name: read_episodes(FOLDER / f"{name}.npz") for name in SETS}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return work.worker(folder, RECIPE, start, controls, LANDED, device=device)


def write_new_controls() -> Path:
    """The second control set: two episodes of every family of the run's diet.

    Raises:
        InputError: it is there already; a control set is never drawn again.
    """
    path = FOLDER / f"{SETS[1]}.npz"
    if path.exists():
        raise InputError("the control set is there already, and is never drawn again", where=path)
    torch.set_num_threads(1)
    generator, names = torch.Generator().manual_seed(NEW_SEED), list(FAMILIES)
    batches = [
        synthesise(2, NEW_CLASSES, NEW_SHAPE, generator, families=names[i : i + 2])
        for _ in range(NEW_ROUNDS)
        for i in range(0, len(names), 2)
    ]
    write_episodes(path, batches)
    return path
