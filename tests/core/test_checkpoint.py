"""Laws of model files: what is saved comes back, and what is no model file is told."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from iris_core.checkpoint import fingerprint, load_model, save_model
from iris_core.config import ModelConfig
from iris_core.errors import CheckpointError, InputError, IrisError
from iris_core.inference.settings import DEFAULTS, InferenceSettings, settings_of
from iris_core.segmenter import Segmenter
from tests.tiny import PLAIN, network, noise


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, network(), {"preset": "custom", "steps": 7}, extra={"count": torch.tensor([1.5, 2.5])})
    return path


def rewritten(path, out, *, drop: str = "", **header: str) -> None:
    with safe_open(path, framework="pt") as file:
        meta = file.metadata() | header
    save_file({k: v for k, v in load_file(path).items() if k != drop}, out, metadata=meta)


def test_a_saved_network_comes_back_in_half_precision(saved):
    loaded, model = load_model(saved), network()
    assert loaded.model.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value.half().float()), name
    stated = {"preset": "custom", "steps": 7, "inference": DEFAULTS.to_dict()}
    assert loaded.meta == stated and loaded.preset == "custom"
    assert torch.equal(loaded.state["count"], torch.tensor([1.5, 2.5]))


def test_a_loaded_network_is_ready_to_answer_and_not_to_learn(saved):
    model = load_model(saved).model
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert model.encode_image(noise(1, 1, 32, 32, 32)).maps[-1].shape == (1, 32, 2, 2, 2)


def test_saving_what_was_loaded_keeps_the_fingerprint(saved, tmp_path):
    loaded = load_model(saved)
    assert save_model(tmp_path / "again.safetensors", loaded.model, {"steps": 8}) == loaded.fingerprint


def test_the_fingerprint_changes_with_the_weights_and_with_the_config():
    state = network(PLAIN).state_dict()
    own = fingerprint(PLAIN, state)
    assert own == fingerprint(PLAIN, network(PLAIN).state_dict()) and len(own) == 16
    moved = {k: v.clone() for k, v in state.items()}
    moved["task_encoder.context_tokens"][0, 0] += 0.01
    assert len({own, fingerprint(PLAIN, moved), fingerprint(replace(PLAIN, attention_heads=2), state)}) == 3


def test_a_checkpoint_can_be_read_by_whoever_may_read_its_folder(saved):
    mask = os.umask(0)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~mask


def test_nothing_half_written_stays_beside_a_checkpoint(saved, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises((OSError, IrisError)):
        save_model(saved, network(seed=1), {})
    assert [p.name for p in saved.parent.iterdir()] == [saved.name] and saved.read_bytes() == before


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none.safetensors: no such checkpoint"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK pickle", None])
def test_a_truncated_or_foreign_file_is_told(saved, tmp_path, content):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(saved.read_bytes()[:-100] if content is None else content)
    with pytest.raises(CheckpointError, match=r"cut.safetensors: cannot be read as a checkpoint"):
        load_model(path)


def test_safetensors_of_another_program_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    told = "is no Iris checkpoint; expected iris-checkpoint-1; found no format entry"
    with pytest.raises(CheckpointError, match=told):
        load_model(path)


@pytest.mark.parametrize("drop", ["model.task_encoder.context_tokens", "model.mask_decoder.token_norm.bias"])
def test_a_checkpoint_with_a_part_missing_is_told(saved, tmp_path, drop):
    path = tmp_path / "less.safetensors"
    rewritten(saved, path, drop=drop)
    with pytest.raises(CheckpointError, match=r"less.safetensors: is damaged; expected fingerprint"):
        load_model(path)


def test_an_unknown_setting_of_a_checkpoint_names_the_nearest(saved, tmp_path):
    path = tmp_path / "newer.safetensors"
    rewritten(saved, path, config=json.dumps(network().config.to_dict() | {"context_token": 4}))
    told = "newer.safetensors: has a setting .* expected context_tokens; found context_token;"
    with pytest.raises(CheckpointError, match=told):
        load_model(path)


@pytest.mark.parametrize("header", [{"config": "{"}, {"config": "[]"}, {"meta": "none"}])
def test_a_checkpoint_whose_header_is_broken_is_told(saved, tmp_path, header):
    rewritten(saved, tmp_path / "broken.safetensors", **header)
    with pytest.raises(CheckpointError, match=r"broken.safetensors: is damaged"):
        load_model(tmp_path / "broken.safetensors")


def test_a_config_survives_json():
    config = network().config
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("meta", "mirror", "steps"),
    [
        ({}, True, 12),
        ({"fit_steps": 0}, False, 0),
        ({"mirror": False}, False, 12),
        ({"fit_steps": 0, "mirror": True}, True, 0),
        ({"fit_steps": 3}, False, 3),
    ],
)
def test_files_of_before_there_were_settings_are_segmented_as_they_were(meta, mirror, steps):
    stages = settings_of(meta)
    assert stages.mirroring.enabled is mirror
    assert stages.feature_fit.fit_steps == steps and stages.feature_fit.enabled is (steps > 0)


def test_settings_of_a_stage_that_is_gone_count_no_more():
    held = DEFAULTS.changed(["bias.enabled=false"])
    rivals = {"enabled": True, "most_rivals": 3}
    assert settings_of({"inference": {**held.to_dict(), "rivals": rivals}}) == held


def test_a_checkpoint_states_every_setting_and_a_segmenter_takes_them(tmp_path):
    wanted = DEFAULTS.changed(["place_search.enabled=false", "edge_fit.edge_steps=3"])
    for meta, expected in (({}, DEFAULTS), ({"inference": wanted.to_dict()}, wanted)):
        save_model(tmp_path / "w.safetensors", network(), meta)
        loaded = load_model(tmp_path / "w.safetensors")
        assert InferenceSettings.from_dict(loaded.meta["inference"]) == loaded.inference == expected
        runner = Segmenter(loaded.model, **loaded.settings)
        assert (runner.settings, runner.recipe) == (expected, loaded.recipe)


@pytest.mark.parametrize(
    ("inference", "told"),
    [
        ({"place_search": {"future": 1}}, "has a setting that this version of iris lacks.*found .*future=1"),
        ({"place_search": {"most_places": "many"}}, "a setting that this version of iris lacks"),
        (7, "is damaged"),
    ],
)
def test_settings_that_this_version_lacks_are_one_error_with_the_file(tmp_path, inference, told):
    save_model(tmp_path / "w.safetensors", network(), {"inference": inference})
    with pytest.raises(CheckpointError, match=f"w.safetensors.*{told}"):
        load_model(tmp_path / "w.safetensors")
