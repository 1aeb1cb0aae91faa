"""Object-level retrieval of few references out of a pool, perhaps of several kinds of study. Paper: Fig. 4.

A context of N studies is drawn. In a mixed pool, half of it (rounded up) shows what the queries show, the
rest is of other kinds. Each class of a query is compared with every class of every study, whatever its name:
the nearest are taken, and a structure of another name among them is a wrong kind. A random choice takes as
many of the right name.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from benchmarks.analyses.bench.record import conditions, interval, markdown, paired, spoken
from benchmarks.analyses.bench.studies import Study, open_studies
from benchmarks.analyses.bench.workbench import Workbench, class_dice
from benchmarks.analyses.strategies import Pool
from iris_core.cli.options import count
from iris_core.errors import InputError
from iris_core.preprocessing.grid import restore_label_map
from iris_core.strategies.pool import mixture
from iris_core.strategies.retrieval import LEAST_VOXELS
from iris_core.task.embedding import TaskEmbedding

LOG = logging.getLogger(__name__)
KEYS = ("query", "draw", "size", "take")


class Candidate(NamedTuple):
    """A class of one study.

    Args:
        embedding: of that class alone.
        name: of the class.
        home: whether the study is of the queries' kind.
    """

    embedding: TaskEmbedding
    name: str
    home: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--pool", required=True, metavar="SET", help="references of the queries' kind")
    parser.add_argument("--others", nargs="*", default=[], metavar="SET", help="of other kinds of study")
    parser.add_argument("--query-set", required=True, metavar="SET", help="queries, e.g. FOLDER:31-60")
    parser.add_argument("--queries", type=count, default=8, metavar="N", help="(default: 8)")
    parser.add_argument("--sizes", type=count, nargs="+", default=[8, 16], metavar="N", help="of contexts")
    parser.add_argument("--takes", type=count, nargs="+", default=[1, 2], metavar="N", help="taken")
    parser.add_argument("--draws", type=count, default=3, help="of contexts (default: 3)")
    parser.add_argument("--tokens-only", action="store_true", help="segment by tokens alone, too")
    parser.add_argument("--seed", type=int, default=0)


def candidates(pool: Pool, home: bool) -> list[list[Candidate]]:
    """Of each study of a pool, its classes."""
    return [
        [Candidate(embedding.select([name]), name, home) for name in embedding.names]
        for embedding in pool.embeddings
    ]


def contexts(
    home: Sequence, others: Sequence, size: int, most: int, generator: np.random.Generator
) -> list[Candidate]:
    """The classes of the studies of one context.

    Args:
        home: candidates by study, of the queries' kind.
        others: candidates of other kinds, or none.
        size: studies of the context.
        most: references that will be taken; so many are of the queries' kind at least.
        generator: source of the choice.

    Raises:
        InputError: too few studies.
    """
    own = size if not others else max(most, -(-size // 2))
    if own > len(home) or size - own > len(others):
        raise InputError(
            "the pool is too small", where=f"a context of {size}", found=f"{len(home)} and {len(others)}",
            expected=f"{own} studies of the queries' kind and {size - own} others",
        )  # fmt: skip
    studies = [home[n] for n in generator.permutation(len(home))[:own]]
    studies += [others[n] for n in generator.permutation(len(others))[: size - own]]
    return [candidate for study in studies for candidate in study]


def nearest(own: TaskEmbedding, name: str, among: Sequence[Candidate]) -> list[int]:
    """Positions of candidates by falling cosine with a class of the query."""
    asked = own.select([name])
    near = [renamed(one.embedding, name).cosine(asked)[name] for one in among]
    return sorted(range(len(among)), key=lambda n: -near[n])


def renamed(embedding: TaskEmbedding, name: str) -> TaskEmbedding:
    """An embedding of one class under another name."""
    mirror = None if embedding.mirror is None else renamed(embedding.mirror, name)
    return replace(embedding, names=(name,), mirror=mirror)


def joined(among: Sequence[Candidate], chosen: dict[str, list[int]]) -> TaskEmbedding:
    """The mean of the chosen candidates of every class, under the class's name."""
    parts = [renamed(among[n].embedding, name) for name, where in chosen.items() for n in where]
    places, start = {}, 0
    for name, where in chosen.items():
        places[name] = list(range(start, start + len(where)))
        start += len(where)
    return mixture(parts, places)


def rows_of(pool: Pool, among: Sequence[Candidate], query: Study, image: Tensor, grid, takes: Sequence[int],
            generator: np.random.Generator, alone: bool) -> Iterator[dict]:  # fmt: skip
    """Retrieval and a random choice of as many, for one context and query."""
    segmenter, names = pool.bench.segmenter, list(pool.names)
    values = [c.value for c in pool.task.classes if c.name in pool.names]
    right = {name: [n for n, one in enumerate(among) if one.home and one.name == name] for name in names}

    def score(chosen: dict[str, list[int]]) -> float:
        embedding = joined(among, chosen)
        logits = segmenter.segment(image, embedding.tokens_alone() if alone else embedding)
        found = class_dice(pool.task, restore_label_map(logits, grid, values), query)
        return float(np.mean(list(found.values())))

    first = {name: [int(generator.choice(where))] for name, where in right.items()}
    masks = segmenter.segment(image, joined(among, first)) > 0
    found = [k for k in range(len(names)) if int(masks[k].sum()) >= LEAST_VOXELS]
    order = {name: [int(n) for n in generator.permutation(where)] for name, where in right.items()}
    if found:
        own = segmenter.tokens_of(image, masks[found].float(), [names[k] for k in found])
        order |= {name: nearest(own, name, among) for name in own.names}
    for take in takes:
        ways = {
            "retrieval": {name: order[name][:take] for name in names},
            "random": {n: [int(i) for i in generator.choice(right[n], take, replace=False)] for n in names},
        }
        for way, chosen in ways.items():
            wrong = [among[n].name != name for name, where in chosen.items() for n in where]
            yield {"take": take, "way": way, "mean": score(chosen), "wrong": float(np.mean(wrong))}


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every query."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    pool = Pool(bench, open_studies(arguments.pool))
    home = candidates(pool, True)
    pools = [Pool(bench, open_studies(spec)) for spec in arguments.others]
    others = [study for one in pools for study in candidates(one, False)]
    queries = open_studies(arguments.query_set, arguments.queries)
    if {study.name for study in pool.studies} & {study.name for study in queries}:
        raise InputError("a query is in the pool", where="--query-set", remedy="choose other cases")
    record = conditions(weights=bench.loaded.fingerprint, classes=list(pool.names), rows=[])
    for query in queries:
        image, grid = pool.prepared(query)
        for draw in range(arguments.draws):
            for size in arguments.sizes:
                generator = np.random.default_rng((arguments.seed, draw, size, *query.name.encode()))
                among = contexts(home, others, size, max(arguments.takes), generator)
                for row in rows_of(pool, among, query, image, grid, arguments.takes, generator,
                                   arguments.tokens_only):  # fmt: skip
                    record["rows"].append({"query": query.name, "draw": draw, "size": size, **row})
        keep(record)
        LOG.info("%s", query.name)


def table(record: dict) -> str:
    """By size of the context and references taken: Dice of both ways, their difference, and wrong kinds."""
    lines = []
    for size, take in sorted({(row["size"], row["take"]) for row in record["rows"]}):
        own = [r for r in record["rows"] if (r["size"], r["take"]) == (size, take)]
        ways = {way: [row for row in own if row["way"] == way] for way in ("retrieval", "random")}
        means = [
            spoken(interval([r["mean"] for r in rows], [r["query"] for r in rows])) for rows in ways.values()
        ]
        gain = paired(ways["retrieval"], ways["random"], KEYS, "mean")
        wrong = float(np.mean([row["wrong"] for row in ways["retrieval"]]))
        lines.append([f"{take} of {size}", *means, spoken(gain, signed=True), wrong])
    return markdown(["taken", "object-level retrieval", "random", "difference", "wrong kinds"], lines)


def draw(record: dict, figure) -> None:
    """The differences to a random choice."""
    axes = figure.subplots()
    labels, found = [], []
    for size, take in sorted({(row["size"], row["take"]) for row in record["rows"]}):
        own = [r for r in record["rows"] if (r["size"], r["take"]) == (size, take)]
        ways = [[row for row in own if row["way"] == way] for way in ("retrieval", "random")]
        labels.append(f"{take} of {size}")
        found.append(paired(*ways, KEYS, "mean"))
    ends = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
    axes.errorbar(range(len(found)), [one.mean for one in found], yerr=ends, fmt="o", capsize=3)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(labels)), labels)
    axes.set(title="Dice of retrieval less a random choice of as many")
