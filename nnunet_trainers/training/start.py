"""Where a training starts: a fresh network, the shipped weights, or those of a file."""

from __future__ import annotations

import logging

from iris_core.checkpoint import LoadedModel, load_model
from iris_core.config import preset
from iris_core.errors import CheckpointError
from iris_core.model.iris import Iris
from nnunet_trainers.training.settings import TrainerSettings

log = logging.getLogger(__name__)


def start_weights(iris: Iris, settings: TrainerSettings) -> str:
    """Loads the weights that the settings ask for into a network.

    Returns:
        A sentence for the log.

    Raises:
        InputError: no such file.
        CheckpointError: the file is no checkpoint, or of another network than the preset's.
    """
    if settings.weights == "none":
        return f"starts from fresh weights, seed {settings.seed}"
    shipped = settings.weights == "auto"
    loaded: LoadedModel = load_model(None if shipped else settings.weights)
    if loaded.model.config != preset(settings.preset):
        if shipped:
            return f"starts from fresh weights: the shipped ones are not of the preset {settings.preset}"
        raise CheckpointError(
            "holds another network than the training's",
            where=settings.weights,
            expected=f"preset {settings.preset}",
            found=loaded.preset,
            remedy=f"set IRIS_PRESET={loaded.preset}, or IRIS_WEIGHTS=none",
        )
    iris.load_state_dict(loaded.model.state_dict())
    return f"starts from {loaded.path.name}, weights {loaded.fingerprint}"
