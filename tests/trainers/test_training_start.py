"""Where a training starts: fresh, from the shipped weights, or from a file of `iris pretrain`."""

from __future__ import annotations

import pytest
import torch

from iris_core.checkpoint import load_model, save_model
from iris_core.config import preset
from iris_core.errors import CheckpointError, InputError
from iris_core.model.build import build
from nnunet_trainers.training.settings import TrainerSettings
from nnunet_trainers.training.start import start_weights


def fresh(name: str = "tiny"):
    return build(preset(name), seed=1)


def same(one, other) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_file_of_weights_starts_a_training(tmp_path):
    pretrained, network = build(preset("tiny"), seed=7), fresh()
    fingerprint = save_model(tmp_path / "pretrained.safetensors", pretrained, {"steps": 3})
    settings = TrainerSettings(weights=str(tmp_path / "pretrained.safetensors"))
    assert fingerprint in start_weights(network, settings)
    assert same(network, load_model(tmp_path / "pretrained.safetensors").model)


def test_without_a_word_it_is_the_shipped_weights_where_they_fit():
    network = fresh()
    assert load_model().fingerprint in start_weights(network, TrainerSettings())
    assert same(network, load_model().model)
    left_alone = fresh("small")
    assert "fresh weights" in start_weights(left_alone, TrainerSettings(preset="small"))
    assert same(left_alone, fresh("small"))


def test_none_leaves_the_network_alone():
    network = fresh()
    assert "fresh weights" in start_weights(network, TrainerSettings(weights="none"))
    assert same(network, fresh())


def test_weights_of_another_network_or_of_nowhere_are_told(tmp_path):
    save_model(tmp_path / "tiny.safetensors", fresh(), {"preset": "tiny"})
    wrong = TrainerSettings(preset="small", weights=str(tmp_path / "tiny.safetensors"))
    with pytest.raises(CheckpointError, match=r"another network.*preset small.*IRIS_PRESET=tiny"):
        start_weights(fresh("small"), wrong)
    with pytest.raises(InputError, match="no such checkpoint"):
        start_weights(fresh(), TrainerSettings(weights=str(tmp_path / "gone.safetensors")))
