"""Model files: safetensors with the config and a format version inside; never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from iris_core.config import ModelConfig
from iris_core.errors import CheckpointError, InputError
from iris_core.inference.settings import DEFAULTS, META_KEY, InferenceSettings, settings_of
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.model.layers import in_channels_last
from iris_core.preprocessing.intensity import PAPER, IntensityRecipe
from iris_core.stored.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from iris_core.segmenter import Segmenter

FORMAT = "iris-checkpoint-1"
SHIPPED = "iris.safetensors"
PORTABLE = "iris.safetensors"  # what a training in nnU-Net leaves in the folder of a fold


@dataclass(frozen=True)
class LoadedModel:
    """A network with the facts of its file.

    Args:
        model: float32, in evaluation mode.
        fingerprint: 16 hexadecimal digits of the weights and the config.
        preset: name of the preset, or "custom".
        meta: what the training wrote: steps, seconds, machine, figures.
        path: the file.
        state: tensors of the file that are not of the network (a memory bank, for one).
    """

    model: Iris
    fingerprint: str
    preset: str
    meta: dict[str, Any]
    path: Path
    state: dict[str, Tensor]

    @property
    def inference(self) -> InferenceSettings:
        """The settings of its queries; an InputError names one that this version lacks."""
        return settings_of(self.meta)

    @property
    def recipe(self) -> IntensityRecipe:
        """How the network's images are normalised; the paper's recipe where the file names none."""
        facts = self.meta.get("intensity")
        return IntensityRecipe.from_dict(facts) if isinstance(facts, Mapping) else PAPER

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that a Segmenter takes of it, by name."""
        return {"recipe": self.recipe, "settings": self.inference, "fingerprint": self.fingerprint}

    def segmenter(self) -> Segmenter:
        """The network at work, where it was loaded, with the settings of its file."""
        from iris_core.segmenter import Segmenter

        device = next(self.model.parameters()).device
        return Segmenter(self.model, device, **self.settings)


def shipped_weights() -> Path:
    """The default checkpoint of this installation."""
    return Path(str(resources.files("iris_core"))) / "weights" / SHIPPED


def portable_in(folder: Path) -> Path:
    """The portable checkpoint of a training's folder or of one of its folds.

    Raises:
        InputError: none there, or several folds.
    """
    own = folder / PORTABLE
    folds = [own] if own.is_file() else sorted(folder.glob(f"fold_*/{PORTABLE}"))
    if len(folds) != 1:
        raise InputError(
            "several folds were trained" if folds else "no checkpoint in this folder", where=folder,
            expected=f"one {PORTABLE}", found=", ".join(path.parent.name for path in folds) or None,
            remedy="name one of them" if folds else "make one of a finished training with iris export",
        )  # fmt: skip
    return folds[0]


def fingerprint(config: ModelConfig, tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits that name a network: its config and the float16 bytes of its weights."""
    digest = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_model(
    path: str | Path, model: Iris, meta: Mapping[str, Any], *, extra: Mapping[str, Tensor] | None = None
) -> str:
    """Writes float16 weights atomically.

    Args:
        path: .safetensors file.
        model: the network.
        meta: JSON-able facts of the training; "preset" names the preset, "inference" holds the settings that
            queries are segmented with, which are the defaults where it is missing.
        extra: further tensors, kept in their own type.

    Returns:
        The fingerprint.
    """
    weights = {k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()}
    name = fingerprint(model.config, weights)
    header = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "meta": json.dumps({META_KEY: DEFAULTS.to_dict(), **meta}),
        "fingerprint": name,
    }
    tensors = {f"model.{k}": v for k, v in weights.items()}
    tensors |= {f"extra.{k}": v.detach().cpu().contiguous() for k, v in (extra or {}).items()}
    write_tensors(Path(path), tensors, header)
    return name


def load_model(path: str | Path | None = None, device: str | torch.device = "cpu") -> LoadedModel:
    """The network of a file, or of the folder of a training; None loads the shipped weights.

    Raises:
        InputError: no such file, or a folder without a checkpoint or with several.
        CheckpointError: the file is no checkpoint of this model, or is damaged.
    """
    path = shipped_weights() if path is None else Path(path)
    path = portable_in(path) if path.is_dir() else path
    if not path.is_file():
        raise InputError("no such checkpoint", where=path, remedy="name a .safetensors file that iris wrote")
    header, tensors = read_tensors(path, CheckpointError, "a checkpoint", "a safetensors file")
    if header.get("format") != FORMAT:
        raise CheckpointError(
            "is no Iris checkpoint",
            where=path,
            expected=FORMAT,
            found=header.get("format", "no format entry"),
            remedy="name a file that iris pretrain or iris export wrote",
        )
    config, meta = _facts(header, path)
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    name = fingerprint(config, weights)
    if name != header.get("fingerprint"):
        raise CheckpointError(
            "is damaged", where=path, expected=f"fingerprint {header.get('fingerprint')}", found=name
        )
    model = build(config)
    try:
        model.load_state_dict({k: v.float() for k, v in weights.items()})
    except RuntimeError as error:
        raise CheckpointError("does not fit its own config", where=path, found=error) from error
    model = in_channels_last(model.to(device).eval().requires_grad_(False))
    state = {k.removeprefix("extra."): v for k, v in tensors.items() if k.startswith("extra.")}
    return LoadedModel(model, name, str(meta.get("preset", "custom")), meta, path, state)


def _facts(header: Mapping[str, str], path: Path) -> tuple[ModelConfig, dict[str, object]]:
    """The config and the facts of a checkpoint's header, which must be whole and of this version."""
    try:
        config, meta = ModelConfig.from_dict(json.loads(header["config"])), json.loads(header["meta"])
        settings_of(meta)
        return config, meta
    except InputError as error:
        raise CheckpointError(
            "has a setting that this version of iris lacks", where=path,
            expected=error.expected, found=error.where, remedy="install the version that wrote it",
        ) from error  # fmt: skip
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError("is damaged", where=path, found=error, remedy="copy it again") from error
