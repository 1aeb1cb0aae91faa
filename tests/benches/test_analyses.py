"""Laws of the analyses' parts: views, memo, contexts, neighbours, t-SNE, pairs, variants."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.analyses import absent, context, place, variants
from benchmarks.analyses.bench import views
from benchmarks.analyses.bench.evidence_memo import EvidenceMemo
from benchmarks.analyses.bench.record import paired
from benchmarks.analyses.bench.studies import Study, open_studies, shared_names
from benchmarks.analyses.bench.workbench import Workbench
from benchmarks.analyses.embeddings import chance, main_axis, neighbours, on_a_plane
from benchmarks.analyses.strategies import STRATEGIES, Pool, rows_of
from iris_core.checkpoint import save_model
from iris_core.errors import InputError
from iris_core.segmenter import Segmenter
from iris_core.strategies import ensemble, one_shot, retrieve_by_object
from tests.tiny import QUICK, network, quick, scene, study


def studies(count: int) -> list[Study]:
    """Small studies of two classes; RAS+ as they are."""
    made = [study(seed=n, shift=n % 3) for n in range(count)]
    return [Study(f"case_{n}", "made", image, label) for n, (image, label) in enumerate(made)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Workbench:
    folder: Path = tmp_path_factory.mktemp("bench")
    save_model(folder / "tiny.safetensors", network(), quick("mirroring"))  # half the time
    return Workbench(folder / "tiny.safetensors", folder / "cache")


def test_a_remembered_mixture_is_the_plain_one_and_each_pair_is_compared_once():
    model, names = network(), ["bright", "dark"]
    segmenter = Segmenter(model, **QUICK)
    pool = [segmenter.encode(*scene(n, shift=n), names) for n in range(3)]
    query, _ = scene(9, shift=2)

    def results() -> list[torch.Tensor]:
        ways = [one_shot(pool, names)[0], ensemble(pool[:2], names)[0], ensemble(pool, names)[0],
                retrieve_by_object(segmenter, pool, names, query, seed=1)[0]]  # fmt: skip
        return [segmenter.segment(query, way) for way in ways]

    plain = results()
    with EvidenceMemo(segmenter, pool) as memo:
        remembered = results()
        assert memo.computed == 6 and len(memo.images) == 2  # each in the mirror, too
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(plain, remembered, strict=True))
    assert "encode_image" not in vars(model) and "with_one" not in vars(segmenter.comparison)


def test_strategies_meet_the_same_contexts_and_random_takes_as_many_as_retrieval(bench):
    pool, query = Pool(bench, studies(6)), studies(8)[7]
    contexts = pool.contexts([1, 2, 6], draws=2, tuning_draws=0, seed=0)
    assert all(set(a.members) < set(b.members) for a, b in itertools.pairwise(contexts[:3]))
    rows = list(rows_of(pool, contexts, query, seed=0))
    assert len(rows) == 2 * 3 * (len(STRATEGIES) - 1)
    for draw in (0, 1):
        alone = {row["mean"] for row in rows if row["size"] == 1 and row["draw"] == draw}
        assert len(alone) == 1  # one reference: every strategy is one-shot
    taken = {
        (row["strategy"], row["size"]): {len(where) for where in row["references"].values()} for row in rows
    }
    assert taken["ensemble", 6] == {6} and taken["random", 6] == taken["image-retrieval", 6] == {2}
    with pytest.raises(InputError, match="the pool is too small; expected 7 studies; found 6"):
        pool.contexts([7], 1, 0, 0)


def test_a_cached_embedding_is_the_computed_one(bench):
    one = studies(1)[0]
    computed, stored = bench.task(one), bench.task(one)
    assert len(list(bench.cache.rglob("*.safetensors"))) >= 1
    assert torch.equal(computed.pool[0].tokens, stored.pool[0].tokens)
    assert torch.equal(computed.pool[0].memories[0].masks, stored.pool[0].memories[0].masks)


def test_a_part_of_a_study_stays_where_it_was_in_the_patient():
    one = studies(1)[0]
    box = views.without_a_third(one.image.shape, 0, "first")
    part = one.within(box)
    assert part.image.shape == (16, 26, 22) and box[0] == slice(8, 24)
    there, here = part.image.affine @ [1, 2, 3, 1], one.image.affine @ [9, 2, 3, 1]
    assert np.allclose(there, here) and part.image.array[1, 2, 3] == one.image.array[9, 2, 3]
    assert views.in_view(one, box)["dark"] == 1.0 and views.in_view(one, box)["bright"] == 5 / 9


def test_three_quarters_lie_a_third_of_themselves_apart():
    first, last = (views.three_quarters((24, 40, 32), 1, side)[1] for side in views.SIDES)
    assert last.start - first.start == (first.stop - first.start) / 3 and last.stop == 40


def test_a_structure_is_cut_out_by_the_largest_box_without_it():
    label = np.zeros((20, 10, 10), np.uint8)
    label[4:6, 3:8, 3:8] = 1
    label[12, 5, 5] = 2
    assert views.box_without(label, 1, 0.3) == (slice(6, 20), slice(0, 10), slice(0, 10))
    label[:, 5, 5] = 1
    assert views.box_without(label, 1, 0.9) is None


def test_the_layers_beside_a_cut_are_those_next_to_it():
    whole = np.arange(20)[:, None, None] * np.ones((1, 4, 4), int)
    for box, seen in (((slice(6, 20), slice(0, 4), slice(0, 4)), [6, 7, 8]),
                      ((slice(0, 9), slice(0, 4), slice(0, 4)), [6, 7, 8])):  # fmt: skip
        assert np.unique(whole[box][absent._beside_the_cut(box, whole.shape)]).tolist() == seen


def test_wrong_contexts_name_other_voxels():
    one = studies(1)[0]
    other = context.swapped(one).label.array
    assert np.array_equal(other == 1, one.label.array == 4) and np.array_equal(
        other == 4, one.label.array == 1
    )
    rolled = context.moved(one).label.array
    assert (rolled > 0).sum() == (one.label.array > 0).sum() and rolled[12 + 5, 13 + 6, 0] == 1
    one.image.array[:8] = 0  # outside the field of view no label may lie
    array = np.where(np.arange(24)[:, None, None] < 8, 0, one.label.array)
    rolled = context.moved(one.with_label(array)).label.array
    assert not rolled[:8].any() and (rolled > 0).sum() == (array > 0).sum()


def test_a_variant_of_the_network_ends_with_its_context(bench):
    config = bench.loaded.model.config
    one, _other = studies(2)
    task = bench.task(one)
    before = bench.segmenter.segment(torch.zeros(1, 32, 32, 32), task.pool[0])
    with place.variant(bench, "neither"):
        assert not bench.loaded.model.config.place
        without = bench.segmenter.segment(torch.zeros(1, 32, 32, 32), task.pool[0])
    after = bench.segmenter.segment(torch.zeros(1, 32, 32, 32), task.pool[0])
    assert bench.loaded.model.config == config and torch.equal(before, after)
    assert not torch.allclose(before, without)


def test_a_neighbour_is_of_another_study_and_the_nearest_by_angle():
    vectors = np.array([[1.0, 0.0], [0.99, 0.1], [10.0, 2.0], [0.0, 1.0]])
    assert neighbours(vectors, ["a", "a", "b", "b"]).tolist() == [2, 2, 1, 1]


def test_the_main_axis_is_told_to_be_the_volume_where_it_is():
    rng = np.random.default_rng(0)
    volumes = rng.lognormal(5, 2, 60)
    along = np.log(volumes)[:, None] * rng.normal(size=(1, 8)) + 0.01 * rng.normal(size=(60, 8))
    assert main_axis(along, volumes) == pytest.approx((1.0, 1.0), abs=0.01)
    share, rank = main_axis(rng.normal(size=(60, 8)), volumes)
    assert share < 0.4 and rank < 0.4


def test_chance_is_the_share_of_the_class_among_other_studies():
    assert chance(["x", "y", "x", "y", "y"], ["a", "a", "b", "b", "b"]) == pytest.approx(
        np.mean([1 / 3, 2 / 3, 1 / 2, 1 / 2, 1 / 2])
    )


def test_neighbours_stay_neighbours_on_the_plane():
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), 12)
    points = rng.normal(size=(4, 16))[kinds] * 4 + rng.normal(size=(48, 16)) * 0.5
    places = on_a_plane(points, 3, perplexity=8)
    distances = ((places[:, None] - places) ** 2).sum(-1) + np.diag(np.full(48, np.inf))
    assert (kinds[distances.argmin(1)] == kinds).all()


def test_differences_are_paired_by_their_keys():
    rows = [{"query": q, "draw": d, "v": v} for q, d, v in (("a", 0, 0.9), ("a", 1, 0.7), ("b", 0, 0.5))]
    others = [{"query": q, "draw": d, "v": v} for q, d, v in (("b", 0, 0.1), ("a", 1, 0.6), ("a", 0, 0.6))]
    found = paired(rows, others, ("query", "draw"), "v")
    assert found.units == 2 and found.mean == pytest.approx(((0.3 + 0.1) / 2 + 0.4) / 2)


def test_classes_that_a_study_lacks_are_not_compared():
    one, other = studies(2)
    lacking = other.with_label(np.where(other.label.array == 4, 0, other.label.array))
    assert shared_names([one, lacking]) == ("bright",)
    with pytest.raises(InputError, match="the studies share no class"):
        shared_names([lacking, one.with_label(np.where(one.label.array == 1, 0, one.label.array))])


def test_phantoms_and_ranges_are_studies(tmp_path):
    (one,) = open_studies("phantom-mr:2-3", limit=1)
    assert one.name == "phantom-mr_02" and one.group == "phantom-mr" and len(one.label.values) > 3
    for spec, words in (("phantom-pet", "no such phantoms"), ("phantom-ct:0-2", "no such range of phantoms"),
                        (str(tmp_path / "none"), "no such folder")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            open_studies(spec)


def told(folder: Path, **changes) -> argparse.Namespace:
    """Options of a training of seconds."""
    few = {"output": folder, "name": "tokens", "minutes": 1.0, "steps": None, "preset": "tiny",
           "network": "plain", "held_out": ("brain",), "batch": 1, "episodes": 1, "device": "cpu",
           "seed": 0}  # fmt: skip
    return argparse.Namespace(**few | changes)


def test_variants_differ_in_what_they_say_and_share_the_budget(tmp_path, monkeypatch):
    seen = []

    def pretend(settings):
        seen.append(settings)
        save_model(settings.output / "last.safetensors", network(), {"seconds": 60.0, "steps": 7})
        return settings.output / "last.safetensors"

    monkeypatch.setattr(variants, "pretrain", pretend)
    options = told(tmp_path)
    asked = [variants.Variant(f"m = {m}", ("chain",), {"context_tokens": m}) for m in (1, 4)]
    paths = [variants.train(variant, options) for variant in asked]
    assert len(set(paths)) == 2 and [s.changes["context_tokens"] for s in seen] == [1, 4]
    assert {(s.minutes, s.total_minutes) for s in seen} == {(1.0, 1.0)}
    assert {(s.recipe.seed, s.recipe.families) for s in seen} == {(0, ("chain",))}
    assert not any(s.changes["correspondence"] for s in seen)
    variants.train(asked[0], options)
    assert len(seen) == 2  # a finished variant is not trained again
    variants.train(asked[0], told(tmp_path, minutes=3.0))
    assert seen[2].minutes == 2.0 and seen[2].resume == paths[0]


def test_steps_are_a_budget_in_place_of_minutes_and_a_variant_may_have_its_own_seed(tmp_path, monkeypatch):
    seen = []

    def pretend(settings):
        seen.append(settings)
        save_model(
            settings.output / "last.safetensors",
            network(),
            {"seconds": 9.0, "steps": settings.steps, "run": {"recipe": {"steps": 4}}},
        )
        return settings.output / "last.safetensors"

    monkeypatch.setattr(variants, "pretrain", pretend)
    one = variants.Variant("again", ("chain",), seed=5)
    for _ in range(2):  # the second time it is finished
        variants.train(one, told(tmp_path, steps=4))
    assert [(s.steps, s.recipe.seed, s.resume) for s in seen] == [(4, 5, None)]
    for other in ({"steps": 3}, {"minutes": 1.0}):
        with pytest.raises(InputError, match="another budget"):
            variants.train(one, told(tmp_path, **other))


def test_held_out_families_are_not_trained_on():
    assert "brain" not in variants.trained_families(("brain", "heart"))
    assert set(variants.trained_families(("brain",))) | {"brain"} == set(variants.FAMILIES)
    for held_out, words in ((("brian",), "no such family"), (tuple(variants.FAMILIES), "no family is left")):
        with pytest.raises(InputError, match=words):
            variants.trained_families(held_out)


def test_episodes_are_the_same_for_every_network():
    found = [variants.episode_dice(network(seed=n), ["chain"], 2, (32, 32, 32), "cpu") for n in (0, 1)]
    assert [entry[:2] for entry in found[0]] == [entry[:2] for entry in found[1]] != []
    assert all(0 <= both <= 1 for _, _, both in found[0])
