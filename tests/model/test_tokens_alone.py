"""Laws of an answer by tokens alone: the paper's network in the extended one, and cards of tokens only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import torch

from benchmarks import token_readout
from iris_core.checkpoint import save_model
from iris_core.cli.main import main
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.model.mask_decoder import likeness
from iris_core.model.task_encoder import foreground_embedding
from iris_core.segmenter import Segmenter
from iris_core.task.card import load_card, save_card
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from tests.raw_sets import write_raw_set
from tests.tiny import EXTENDED, PLAIN, PLAIN_LIMIT, SIDE, boxes, network, noise, quick, study

OWN = {"deep_vectors": True, "balanced_tokens": True}


def asked(model: Iris, memory: bool):
    reference, query = (model.encode_image(noise(1, 1, SIDE, SIDE, SIDE, seed=s)) for s in (1, 2))
    masks = boxes(2)[None]
    stored = model.encode_memory(reference, masks, torch.zeros(1, 3)) if memory else None
    evidence = None if stored is None else model.compare(query, stored)
    return model.decode(query, model.encode_tokens(reference, masks), evidence)


def awake(model: Iris) -> Iris:
    """The network with every parameter that begins at nothing moved away from it."""
    generator = torch.Generator().manual_seed(9)
    for parameter in model.parameters():
        if not bool(parameter.any()):
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def test_without_a_memory_the_extended_network_is_the_papers_with_the_same_weights():
    extended = awake(network(replace(EXTENDED, **OWN)))
    plain = build(replace(PLAIN, **OWN)).eval()
    own = plain.state_dict()
    plain.load_state_dict({k: v for k, v in extended.state_dict().items() if k in own})
    with torch.no_grad():
        torch.testing.assert_close(asked(plain, False).logits, asked(extended, False).logits)


def test_older_weights_answer_with_a_memory_as_before():
    before = network()
    after = build(replace(EXTENDED, deep_vectors=True)).eval()
    missing, unexpected = after.load_state_dict(before.state_dict(), strict=False)
    assert not unexpected and all("deep" in name or "like" in name or "gain" in name for name in missing)
    with torch.no_grad():
        torch.testing.assert_close(asked(after, True).logits, asked(before, True).logits)


def test_answers_at_every_stride_are_sums_from_coarse_to_fine():
    with torch.no_grad():
        coarse = asked(awake(network(replace(EXTENDED, **OWN))), False).coarse
    sides = (SIDE // 8, SIDE // 4, SIDE // 2)
    assert [tuple(logits.shape) for logits in coarse] == [(1, 2, side, side, side) for side in sides]


def test_a_query_looks_most_like_the_foreground_where_its_features_are_the_references():
    features = noise(1, 16, 4, 4, 4, seed=3)
    mask = torch.zeros(1, 1, 32, 32, 32)
    mask[..., 8:16, 16:24, 0:8] = 1  # the cell (1, 2, 0)
    found = likeness(features, foreground_embedding(features, mask), features.shape[2:])
    assert found.abs().max() <= 1 + 1e-5
    assert found.flatten().argmax() == 1 * 16 + 2 * 4 + 0


def test_balanced_contextual_tokens_are_together_as_long_as_one_token_of_unit_variance():
    model = network(replace(EXTENDED, **OWN))
    with torch.no_grad():
        tokens = model.encode_tokens(model.encode_image(noise(1, 1, SIDE, SIDE, SIDE)), boxes(2)[None])
    lengths = tokens[:, :, 1:].norm(dim=-1).sum(-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, tokens.shape[-1] ** 0.5))


def test_a_card_of_tokens_holds_a_few_kilobytes_and_nothing_of_the_image(tmp_path):
    segmenter = Segmenter(network(replace(EXTENDED, **OWN)), window=(32, 32, 32), fingerprint="f")
    whole = encode_task(segmenter, [Reference(*study(0), name="study")], modality="mr", spacing=2.0)
    alone = whole.tokens_alone()
    sizes = save_card(alone, tmp_path / "alone.safetensors")
    assert sizes["extras"] == 0 and sizes["plain"] <= PLAIN_LIMIT * len(alone.names)
    again = load_card(tmp_path / "alone.safetensors", "f")
    assert again.provenance["tokens_alone"] and not again.pool[0].memories
    torch.testing.assert_close(again.pool[0].tokens, whole.pool[0].tokens)
    found = [apply_task(segmenter, task, study(7)[0]).masks for task in (alone, again)]
    assert (found[0] == found[1]).all()


def test_encode_writes_such_a_card_and_segment_takes_it(tmp_path, capsys):
    save_model(tmp_path / "tiny.safetensors", network(replace(EXTENDED, **OWN)), quick())
    dataset = write_raw_set(tmp_path / "Dataset001_Blocks", labels={"one": 1, "two": 2}, cases=2)
    image, label = sorted((dataset / "imagesTr").iterdir())[0], sorted((dataset / "labelsTr").iterdir())[0]
    weights = ["--checkpoint", str(tmp_path / "tiny.safetensors")]
    sizes = {}
    for name, more in (("whole", []), ("alone", ["--tokens-only"])):
        card = str(tmp_path / f"{name}.safetensors")
        words = ["encode", "--reference", str(image), str(label), "--output", card]
        assert main([*words, *weights, *more, "--json"]) == 0
        sizes[name] = json.loads(capsys.readouterr().out)
    assert sizes["whole"]["extras_bytes"] > 0 == sizes["alone"]["extras_bytes"]
    assert sizes["alone"]["bytes"] < 2 * PLAIN_LIMIT
    query = sorted((dataset / "imagesTr").iterdir())[1]
    words = ["segment", "--task", str(tmp_path / "alone.safetensors"), "--query", str(query)]
    assert main([*words, "--output", str(tmp_path / "found"), *weights]) == 0
    assert list((tmp_path / "found").rglob("*.nii.gz"))


def test_tokens_that_know_nothing_of_an_image_give_the_mean_of_the_others(monkeypatch):
    rng = np.random.default_rng(0)
    images, blind = rng.normal(size=(12, 50)), rng.normal(size=(12, 8))
    ridge = token_readout._ridge(blind, images)
    told = token_readout._told(blind[:11], images[:11], blind[11:], ridge)[0]
    assert np.abs(told - images[:11].mean(0)).mean() < 0.2
    seeing = images @ rng.normal(size=(50, 60))
    ridge = token_readout._ridge(seeing, seeing[:, :40])
    told = token_readout._told(seeing[:11], seeing[:11, :40], seeing[11:], ridge)[0]
    assert np.corrcoef(told, seeing[11, :40])[0, 1] > 0.2
