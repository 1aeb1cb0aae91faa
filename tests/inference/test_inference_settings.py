"""Laws of the settings: every stage can be left out, every number has one place, a wrong one is one error."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.golden.passed import modules_passed
from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.inference.settings import DEFAULTS, STAGES, InferenceSettings
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import LabelVolume, Volume
from tests.tiny import PLAIN, QUICK, network, scene, without

ROOT = Path(__file__).parents[2]
MOST_MODULES = 14  # of inference/, that a query passes
LATER = "place_search.most_places=2"  # of two assignments
MOST = 3  # signatures that may name a setting as a parameter
NAMES = ("bright", "dark")


@cache
def blocks() -> tuple[Reference, Volume]:
    """A reference with a small block, which gets a close-up, and a query with the block elsewhere."""
    studies = []
    for start in (40, 12):
        label = np.zeros((64, 24, 24), np.uint8)
        label[start : start + 6, 6:12, 6:12] = 1
        image = np.where(label > 0, 300.0, 10.0).astype(np.float32)
        studies.append((Volume(image, np.eye(4)), LabelVolume(label, np.eye(4), {1: "block"})))
    return Reference(*studies[0], "study"), studies[1][0]


def segmented(runner: Segmenter) -> tuple[Task, np.ndarray]:
    reference, query = blocks()
    task = encode_task(runner, [reference], modality="ct")
    found = apply_task(runner, task, query)
    assert found.label.array.shape == query.shape and set(np.unique(found.label.array)) <= {0, 1}
    assert 0 <= found.quality["block"] <= 1
    assert all(bool(one.logits.isfinite().all()) for one in found.maps)
    return task, found.maps[0].logits.numpy()


@pytest.mark.parametrize("stage", ["none", *STAGES])
def test_without_any_one_stage_a_query_gets_a_valid_mask(stage):
    left_out = () if stage == "none" else (stage,)
    runner = Segmenter(network(), window=(32, 32, 32), **without(*left_out))
    task, _ = segmented(runner)
    assert (task.pool[0].mirror is None) == (stage == "mirroring")
    assert bool(task.close_ups) == (stage != "close_up")


@pytest.mark.parametrize("config", [PLAIN, None], ids=["paper", "extended"])
def test_without_all_stages_the_answer_is_that_of_tokens_alone(config):
    """In the paper's network that is all that there is; the extensions have no part in any other."""
    model = network(config) if config else network()
    runner = Segmenter(model, window=(32, 32, 32), **without(*STAGES))
    (image, masks), (query, _) = scene(), scene(seed=3, shift=1)
    task = runner.encode(image, masks, NAMES)
    with torch.no_grad():
        expected = model.decode(model.encode_image(query[None]), task.tokens[None]).logits[0]
        tokens = model.encode_tokens(model.encode_image(image[None]), masks[None])[0]
    assert torch.allclose(runner.segment(query, task), expected, atol=1e-5)
    assert torch.allclose(task.tokens, tokens, atol=1e-3)  # kept as float16
    assert task.mirror is None and not task.bias.any()


def test_a_stage_that_is_left_out_of_a_finished_task_takes_no_part():
    whole, off = Segmenter(network(), window=(32, 32, 32), **QUICK), without("bias", "mirroring")
    task, query = whole.encode(*scene(), NAMES), scene(seed=3, shift=1)[0]
    bare = Segmenter(network(), window=(32, 32, 32), **off)
    assert task.mirror is not None and bool(task.bias.any())
    assert torch.equal(bare.segment(query, task), bare.segment(query, bare.encode(*scene(), NAMES)))


def test_settings_survive_json_and_every_group_can_be_switched_off():
    assert InferenceSettings.from_dict(DEFAULTS.to_dict()) == DEFAULTS
    assert all(getattr(DEFAULTS, stage).enabled for stage in STAGES)
    off = DEFAULTS.without(*STAGES)
    assert not any(getattr(off, stage).enabled for stage in STAGES)
    assert InferenceSettings.from_dict(off.to_dict()) == off
    assert InferenceSettings.from_dict({"bias": {"enabled": False}}) == DEFAULTS.without("bias")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "place_search.enabld=false",
            "place_search.enabld=false: no such setting.*place_search.enabled",
        ),
        ("mirror.enabled=false", "no such setting.*mirroring.enabled"),
        ("place_search=false", "no such setting"),
        ("place_search.enabled", "is no setting with a value"),
        ("", "is no setting with a value"),
        ("bias.enabled=maybe", "bias.enabled: unusable value; expected true or false; found maybe"),
        ("feature_fit.fit_steps=1.5", "expected a whole number, not below 0; found 1.5"),
        ("feature_fit.fit_steps=-1", "expected a whole number, not below 0"),
        ("feature_fit.fit_rate=nan", "expected a number"),
        ("fusion.surest_logit=inf", "expected a number"),
        ("bias.bias_step=0", "bias.bias_step: unusable value; expected above 0"),
        ("bias.bias_step=1e-9", "bias.bias_step: unusable value; expected above 0.0017"),
        ("close_up.box_tail=50", "close_up.box_tail: unusable value; expected below 50"),
    ],
)
def test_a_wrong_name_or_value_is_one_error_that_helps(text, told):
    with pytest.raises(InputError, match=told):
        DEFAULTS.changed([text])


def test_a_change_changes_that_value_alone():
    found = DEFAULTS.changed(["place_search.most_places = 1", LATER, "context_margin=20"])
    changed = {name for name, value in found.values().items() if DEFAULTS.values()[name] != value}
    assert changed == {"place_search.most_places", "context_margin"} and found.place_search.most_places == 2
    assert DEFAULTS.changed(["field_of_view.absent_logit=-7"]).field_of_view.absent_logit == -7.0


def test_the_method_follows_from_settings_and_weights():
    words = {DEFAULTS.method("a"), DEFAULTS.method("b"), DEFAULTS.without("bias").method("a")}
    assert len(words) == 3 and DEFAULTS.method("a") == InferenceSettings().method("a")


def test_the_command_line_refuses_an_unknown_setting_in_one_line(tmp_path, capsys):
    words = ["segment", "--task", str(tmp_path / "card"), "--query", str(ROOT / "README.md")]
    status = main([*words, "--output", str(tmp_path / "out.nii.gz"), "--set", "place_serch.enabled=false"])
    assert status == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no such setting" in line and "place_search.enabled" in line


def test_no_setting_is_handed_on_from_signature_to_signature():
    groups = [getattr(DEFAULTS, stage) for stage in STAGES]
    names = {f.name for one in (DEFAULTS, *groups) for f in fields(one)}
    counts: Counter[str] = Counter()
    for folder in ("iris_core", "nnunet_trainers", "apps"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                    own = node.args
                    counts.update(a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs))
    assert {name: counts[name] for name in names if counts[name] > MOST} == {}


def test_a_query_with_a_close_up_passes_few_modules_of_the_pipeline():
    runner = Segmenter(network(), window=(32, 32, 32), **QUICK)
    reference, query = blocks()
    task = encode_task(runner, [reference], modality="ct")
    passed = modules_passed(lambda: apply_task(runner, task, query))
    own = [name for name in passed if name.startswith("inference/")]
    assert task.close_ups and "inference/pipeline.py" in own and len(own) <= MOST_MODULES, own
