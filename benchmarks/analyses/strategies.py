"""Strategies against context size. Paper: 4.3, Fig. 4.

A context of N references is drawn from the pool; all strategies see the same N. Retrieval takes a fifth of
it, and a random choice takes as many, class by class, as object-level retrieval does. Every context of a draw
is a prefix of one random order, so that contexts of one draw grow.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.analyses.bench.evidence_memo import EvidenceMemo
from benchmarks.analyses.bench.record import conditions, interval, markdown, paired, spoken
from benchmarks.analyses.bench.studies import Study, open_studies, shared_names
from benchmarks.analyses.bench.workbench import Workbench, class_dice, pool_of
from iris_core.cli.options import count
from iris_core.errors import InputError
from iris_core.preprocessing.grid import restore_label_map
from iris_core.preprocessing.modality import query_modality
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.strategies import ensemble, one_shot, retrieve_by_image, retrieve_by_object, tune
from iris_core.strategies.pool import mixture
from iris_core.strategies.retrieval import TOP_SHARE, _count
from iris_core.strategies.tuning import STEPS, Example
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.task import Task

LOG = logging.getLogger(__name__)
STRATEGIES = ("one-shot", "ensemble", "retrieval", "image-retrieval", "random", "tuning")
SPOKEN = {"retrieval": "object-level retrieval", "image-retrieval": "image-level retrieval"}
SIZES = (1, 2, 4, 8, 16)
KEYS = ("query", "draw", "size")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--pool", required=True, metavar="SET", help="references, e.g. FOLDER:1-30")
    parser.add_argument("--query-set", required=True, metavar="SET", help="queries, e.g. FOLDER:31-60")
    parser.add_argument("--queries", type=count, default=20, metavar="N", help="(default: 20)")
    parser.add_argument("--sizes", type=count, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--draws", type=count, default=3, help="of contexts (default: 3)")
    parser.add_argument("--tuning-draws", type=int, default=1, help="of them with tuning (default: 1)")
    parser.add_argument("--tuning-steps", type=int, default=STEPS, help=f"at most (default: {STEPS})")
    parser.add_argument("--seed", type=int, default=0)


@dataclass(frozen=True)
class Context:
    """N references of one draw.

    Attributes:
        draw: its number.
        size: N.
        members: positions in the pool.
        tuned: the embedding that was tuned on them, or None.
    """

    draw: int
    size: int
    members: tuple[int, ...]
    tuned: TaskEmbedding | None = None


class Pool:
    """Encoded references of one task.

    Args:
        bench: the network.
        studies: the references; classes that one of them lacks are left out.
    """

    def __init__(self, bench: Workbench, studies: Sequence[Study]) -> None:
        self.bench, self.studies, self.names = bench, studies, shared_names(studies)
        size = bench.task(studies[0]).spacing
        tasks = [bench.task(study, spacing=size) for study in studies]
        self.task: Task = pool_of(tasks, "ensemble")
        self.embeddings = [e.select(list(self.names)) for e in self.task.pool]

    def contexts(
        self, sizes: Sequence[int], draws: int, tuning_draws: int, seed: int, steps: int = STEPS
    ) -> list[Context]:
        """Draws contexts; the first draws are tuned, too.

        Raises:
            InputError: a size that the pool does not have.
        """
        if max(sizes) > len(self.studies):
            found = len(self.studies)
            raise InputError("the pool is too small", expected=f"{max(sizes)} studies", found=found)
        contexts = []
        for draw in range(draws):
            order = np.random.default_rng((seed, draw)).permutation(len(self.studies)).tolist()
            for size in sizes:
                members = tuple(order[:size])
                tuned = self._tuned(members, seed + draw, steps) if draw < tuning_draws else None
                contexts.append(Context(draw, size, members, tuned))
        return contexts

    def prepared(self, study: Study) -> tuple[Tensor, object]:
        """A query on the working grid: (1, D, H, W), and the grid."""
        modality, _ = query_modality(study.image, self.task.modality, given=False)
        found = prepare_image(
            study.image, modality=modality, spacing=self.task.spacing, recipe=self.bench.segmenter.recipe
        )
        return found.image, found.grid

    def _tuned(self, members: tuple[int, ...], seed: int, steps: int) -> TaskEmbedding:
        examples = []
        for study in (self.studies[n] for n in members):
            image, grid = self.prepared(study)
            values = {study.label.name_of(v): v for v in study.label.values}
            masks = prepare_masks(study.label, [values[name] for name in self.names], grid)
            examples.append(Example(image, masks, self.names))
        pool = [self.embeddings[n] for n in members]
        result = tune(self.bench.segmenter, pool, examples, list(self.names), steps=steps, seed=seed)
        LOG.info("tuned on %d: %.3f to %.3f", len(members), result.before, result.after)
        return result.embedding


def rows_of(pool: Pool, contexts: Sequence[Context], query: Study, seed: int) -> Iterator[dict]:
    """Every strategy in every context on one query: rows with `KEYS`, strategy, dice by class, and mean."""
    image, grid = pool.prepared(query)
    values = [c.value for c in pool.task.classes if c.name in pool.names]
    known: dict[tuple, dict[str, float]] = {}
    generator = np.random.default_rng((seed, *query.name.encode()))

    def score(embedding: TaskEmbedding, key: tuple) -> dict[str, float]:
        if key not in known:
            logits = pool.bench.segmenter.segment(image, embedding)
            known[key] = class_dice(pool.task, restore_label_map(logits, grid, values), query)
        return known[key]

    for context in contexts:
        part = [pool.embeddings[n] for n in context.members]
        for name, obtain in _ways(pool, part, image, context, generator).items():
            embedding, chosen = obtain()
            tuned = (context.draw, context.size) if name == "tuning" else ()
            key = (*tuned, *(tuple(sorted(context.members[n] for n in w)) for w in chosen.values()))
            found = score(embedding, key)
            yield {
                "query": query.name, "draw": context.draw, "size": context.size, "strategy": name,
                "references": {
                    c: [pool.studies[context.members[n]].name for n in where] for c, where in chosen.items()
                },
                "dice": found, "mean": float(np.mean(list(found.values()))),
            }  # fmt: skip


def _ways(
    pool: Pool,
    part: Sequence[TaskEmbedding],
    image: Tensor,
    context: Context,
    generator: np.random.Generator,
) -> dict[str, Callable[[], tuple[TaskEmbedding, dict[str, list[int]]]]]:
    """How each strategy obtains an embedding, and which references it took."""
    names, segmenter = list(pool.names), pool.bench.segmenter

    def at_random() -> tuple[TaskEmbedding, dict[str, list[int]]]:
        many = _count(len(part), TOP_SHARE)
        chosen = {n: generator.choice(len(part), many, replace=False).tolist() for n in names}
        return mixture(part, chosen), chosen

    ways = {
        "one-shot": lambda: one_shot(part, names),
        "ensemble": lambda: ensemble(part, names),
        "retrieval": lambda: retrieve_by_object(segmenter, part, names, image, seed=context.draw),
        "image-retrieval": lambda: retrieve_by_image(segmenter, part, names, image),
        "random": at_random,
    }
    if context.tuned is not None:
        ways["tuning"] = lambda: (context.tuned, ensemble(part, names)[1])
    return ways


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every query."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    queries = open_studies(arguments.query_set, arguments.queries)
    pool = Pool(bench, open_studies(arguments.pool))
    if {study.name for study in pool.studies} & {study.name for study in queries}:
        raise InputError("a query is in the pool", where="--query-set", remedy="choose other cases")
    contexts = pool.contexts(
        arguments.sizes, arguments.draws, arguments.tuning_draws, arguments.seed, arguments.tuning_steps
    )
    record = conditions(weights=bench.loaded.fingerprint, classes=list(pool.names), rows=[])
    with EvidenceMemo(bench.segmenter, pool.embeddings) as memo:
        for query in queries:
            record["rows"] += list(rows_of(pool, contexts, query, arguments.seed))
            memo.forget()
            LOG.info("%s: %.3f", query.name, record["rows"][-1]["mean"])
            keep(record)


def table(record: dict) -> str:
    """Mean Dice by strategy and size; then differences to random and to the ensemble."""
    rows, sizes = record["rows"], sorted({row["size"] for row in record["rows"]})
    strategies = [s for s in STRATEGIES if any(row["strategy"] == s for row in rows)]
    parts = [markdown(["references", *map(str, sizes)], [
        [SPOKEN.get(s, s), *(spoken(interval(*_column(rows, s, n))) for n in sizes)] for s in strategies
    ])]  # fmt: skip
    for other in ("random", "ensemble"):
        lines = [
            [SPOKEN.get(s, s), *(spoken(_against(rows, s, other, n), signed=True) for n in sizes)]
            for s in strategies
            if s not in ("one-shot", other)
        ]
        parts.append(f"Less {other}, paired:\n\n" + markdown(["references", *map(str, sizes)], lines))
    return "\n\n".join(parts)


def _column(rows: list[dict], strategy: str, size: int) -> tuple[list[float], list[str]]:
    found = [row for row in rows if row["strategy"] == strategy and row["size"] == size]
    return [row["mean"] for row in found], [row["query"] for row in found]


def _against(rows: list[dict], strategy: str, other: str, size: int):
    first, second = ([r for r in rows if r["strategy"] == s and r["size"] == size] for s in (strategy, other))
    return paired(first, second, KEYS, "mean")


def draw(record: dict, figure) -> None:
    """Dice against context size, and the differences to random."""
    rows, sizes = record["rows"], sorted({row["size"] for row in record["rows"]})
    strategies = [s for s in STRATEGIES if any(row["strategy"] == s for row in rows)]
    figure.set_size_inches(11, 4.2)
    left, right = figure.subplots(1, 2)
    for number, strategy in enumerate(strategies):
        shifted = [size * 1.03 ** (number - len(strategies) / 2) for size in sizes]
        style = {"color": f"C{number}", "marker": "o", "markersize": 4, "capsize": 2, "linewidth": 1.4}
        label = SPOKEN.get(strategy, strategy)
        _bars(left, shifted, [interval(*_column(rows, strategy, n)) for n in sizes], label, style)
        if strategy not in ("random", "one-shot"):
            found = [_against(rows, strategy, "random", n) for n in sizes]
            _bars(right, shifted, found, label, style)
    right.axhline(0, color="grey", linewidth=0.8)
    left.set(title="Dice", xlabel="references in the context")
    right.set(title="Dice less that of a random fifth", xlabel="references in the context")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)


def _bars(axes, places, found, label, style) -> None:
    means = [one.mean for one in found]
    ends = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
    axes.errorbar(places, means, yerr=ends, label=label, **style)
