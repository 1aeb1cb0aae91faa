"""Each analysis as its command: a record, a picture and a table, from a small dataset and a small network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.analyses import __main__ as command
from benchmarks.analyses import ablation, families, left_out, place, strategies, tokens, variants
from iris_core.checkpoint import save_model
from tests.raw_sets import write_raw_set
from tests.tiny import network


@pytest.fixture(scope="module")
def place_of(tmp_path_factory) -> tuple[Path, Path]:
    """A dataset of five cases and a checkpoint."""
    folder = tmp_path_factory.mktemp("analyses")
    dataset = write_raw_set(folder / "Dataset001_Blocks", labels={"one": 1, "two": 2}, cases=5)
    save_model(folder / "tiny.safetensors", network(), {"inference": {"feature_fit": {"fit_steps": 1}}})
    return dataset, folder / "tiny.safetensors"


def run(place_of: tuple[Path, Path], output: Path, *words: str) -> tuple[int, dict]:
    """The exit status and the record."""
    done = command.main([words[0], "--output", str(output), "--checkpoint", str(place_of[1]), *words[1:]])
    path = output / f"{words[0]}.json"
    return done, json.loads(path.read_text()) if path.is_file() else {}


def test_strategies_leave_a_row_for_every_context_and_are_drawn_again_alike(place_of, tmp_path, capsys):
    dataset = place_of[0]
    words = ["strategies", "--pool", f"{dataset}:1-3", "--query-set", f"{dataset}:4-5", "--sizes", "1", "3",
             "--draws", "1", "--tuning-draws", "1", "--tuning-steps", "2", "--queries", "2"]  # fmt: skip
    done, record = run(place_of, tmp_path, *words)
    assert done == 0 and len(record["rows"]) == 2 * 2 * len(strategies.STRATEGIES)
    assert record["arguments"].startswith("strategies --output") and record["weights"]
    table = capsys.readouterr().out
    assert "object-level retrieval" in table and "Less random, paired:" in table
    picture = (tmp_path / "strategies.png").read_bytes()
    assert run(place_of, tmp_path, "strategies", "--redraw")[0] == 0
    assert capsys.readouterr().out == table and (tmp_path / "strategies.png").read_bytes() == picture


@pytest.mark.parametrize("more", [[], ["--one"]])
def test_crops_leave_a_row_for_every_pair_and_network(place_of, tmp_path, capsys, more):
    words = ["crops", "--sets", f"{place_of[0]}:1-3", "--pairs", "2", "--least", "0.8", *more]
    done, record = run(place_of, tmp_path, *words)
    networks = ["as it is", "whole field alone", "no alignment"]
    assert done == 0 and [row["variant"] for row in record["rows"]] == 2 * networks
    assert all(len(row["classes"]) == 1 for row in record["rows"]) or not more
    assert "whole field alone" in capsys.readouterr().out
    assert (tmp_path / "crops.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "more", "keys"),
    [
        ("context", [], {"right", "swapped", "moved"}),
        ("place", ["--axes", "1", "--variants", "as it is", "neither"], {"as it is", "neither"}),
        ("absent", [], {"as it is", "no alignment"}),
    ],
)
def test_controls_leave_a_row_for_every_condition(place_of, tmp_path, capsys, name, more, keys):
    words = [name, "--sets", f"{place_of[0]}:1-2", "--references", "1", "--queries", "1", *more]
    done, record = run(place_of, tmp_path, *words)
    assert done == 0 and {row.get("variant", row.get("context")) for row in record["rows"]} == keys
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert "Dataset001_Blocks" in capsys.readouterr().out
    if name == "place":
        views = [
            row["view"] for row in record["rows"] if row["class"] == "one" and row["variant"] == "neither"
        ]
        assert sorted(views) == sorted([place.WHOLE, *[place.CROPPED, place.SAME, place.MOVED] * 2])


def test_embeddings_are_placed_and_their_neighbours_counted(place_of, tmp_path, capsys):
    done, record = run(place_of, tmp_path, "embeddings", "--sets", str(place_of[0]), "--studies", "3")
    assert done == 0 and len(record["rows"]) == 6 and (tmp_path / "embeddings.png").is_file()
    assert all(row["nearest"] in ("one", "two") and len(row["place"]) == 2 for row in record["rows"])
    assert record["chance"] == 0.5 and "| all | 3 | 2 | 6 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "many"), [(families, [1, 2, 3, 5]), (tokens, [1, 5, 10, 20]), (ablation, range(4))]
)
def test_trainings_leave_a_row_for_every_variant(place_of, tmp_path, monkeypatch, capsys, module, many):
    told = []

    def pretend(settings):
        told.append(settings)
        save_model(settings.output / "last.safetensors", network(), {"seconds": 60.0, "steps": 3})
        return settings.output / "last.safetensors"

    monkeypatch.setattr(variants, "pretrain", pretend)
    monkeypatch.setattr(variants, "episode_dice", lambda *_: [(0, 0.001, 0.2), (0, 0.1, 0.4), (1, 0.1, 0.6)])
    name = module.__name__.rsplit(".", 1)[1]
    done, record = run(place_of, tmp_path, name, "--minutes", "1", "--episodes", "2", "--device", "cpu")
    assert done == 0 and len(record["rows"]) == len(told) == len(many)
    assert all(row["small"] == [[0, 0.2]] and row["steps"] == 3 for row in record["rows"])
    assert len({(s.recipe.families, tuple(sorted(s.changes.items()))) for s in told}) == len(many)
    assert not {"brain", "heart"} & {family for s in told for family in s.recipe.families}
    assert (
        tmp_path / f"{name}.png"
    ).is_file() and "unseen families (brain, heart)" in capsys.readouterr().out


def test_leaving_a_family_out_is_measured_beside_the_training_on_all(place_of, tmp_path, monkeypatch, capsys):
    told = []

    def pretend(settings):
        told.append(settings)
        meta = {"seconds": 9.0, "steps": 3, "fit_steps": 1}
        save_model(settings.output / "last.safetensors", network(seed=len(told)), meta)
        return settings.output / "last.safetensors"

    monkeypatch.setattr(variants, "pretrain", pretend)
    monkeypatch.setattr(left_out, "episode_dice", lambda model, names, *_: [(0, 0.1, 0.4), (1, 0.1, 0.6)])
    where = ["--sets", f"{place_of[0]}:1-2", "--references", "1", "--queries", "1"]
    held_out = [name for name in variants.FAMILIES if name not in ("chain", "organs")]
    more = ["--steps", "3", "--held-out", ",".join(held_out), "--episodes", "2"]
    done, record = run(place_of, tmp_path, "left_out", *where, *more)
    assert done == 0
    assert [s.recipe.families for s in told] == [("organs", "chain")] * 2 + [("chain",), ("organs",)]
    assert [s.recipe.seed for s in told] == [0, 1, 0, 0] and {s.steps for s in told} == {3}
    rows = record["rows"]
    assert len(rows) == 4 * (1 + 2 * 2) and len({row["variant"] for row in rows}) == 4
    assert (tmp_path / "left_out.png").stat().st_size > 5000
    printed = capsys.readouterr().out
    assert "| all again |" in printed and "| without chain |" in printed and "3 steps" in printed
    by_family = [line for line in printed.splitlines() if "without" in line]
    assert all(line.count("+0.000 (+0.000 to +0.000)") >= 2 for line in by_family)  # episodes are pretended


def test_a_mistake_is_told_in_a_line(place_of, tmp_path, capsys):
    dataset = place_of[0]
    for words, said in (
        (
            ["strategies", "--pool", f"{dataset}:1-3", "--query-set", f"{dataset}:3-5"],
            "a query is in the pool",
        ),
        (["context", "--sets", f"{dataset}:1-1"], "too few studies"),
        (["place", "--sets", f"{dataset}:1-9"], "no such range of cases"),
        (["absent", "--redraw"], "no record to draw"),
        (["families", "--sizes", "9"], "too few families"),
        (["left_out", "--sets", "phantom-ct", "--held-out", ",".join([*variants.FAMILIES][1:])], "left out"),
    ):
        assert run(place_of, tmp_path, *words)[0] == 2
        assert said in capsys.readouterr().err


def test_retrieval_from_a_mixed_pool_is_compared_with_a_random_choice(place_of, tmp_path, capsys):
    dataset = place_of[0]
    other = write_raw_set(tmp_path / "Dataset002_Others", labels={"three": 1, "four": 2}, cases=2)
    words = ["retrieval", "--pool", f"{dataset}:1-3", "--others", str(other), "--query-set", f"{dataset}:4-5",
             "--sizes", "4", "--takes", "1", "2", "--draws", "1", "--queries", "1",
             "--tokens-only"]  # fmt: skip
    done, record = run(place_of, tmp_path, *words)
    assert done == 0 and [(row["take"], row["way"]) for row in record["rows"]] == [
        (1, "retrieval"), (1, "random"), (2, "retrieval"), (2, "random"),
    ]  # fmt: skip
    assert all(row["wrong"] == 0 for row in record["rows"] if row["way"] == "random")
    assert "1 of 4" in capsys.readouterr().out and (tmp_path / "retrieval.png").stat().st_size > 5000
    assert run(place_of, tmp_path, *words[:8], "9", *words[9:])[0] == 2
    assert "the pool is too small" in capsys.readouterr().err
