"""t-SNE of task embeddings of several sets, and how often the nearest is of the same class. Paper: Fig. 5.

A task embedding is compared as retrieval compares it: its tokens, mean-pooled and normalised. The stored
memory of the extensions takes no part.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from benchmarks.analyses.bench.studies import open_studies
from benchmarks.analyses.bench.volume_probe import predicted, r2
from benchmarks.analyses.bench.workbench import Workbench
from iris_core.cli.options import count

LOG = logging.getLogger(__name__)
MARKERS = "os^DvP*X"
NAMED = 18  # classes with a name in the picture; the others are small, in colours of their own
SHADES = (0, 2, 4, 6, 8, 10, 12, 16, 18, 1, 3, 5, 7, 9, 11, 13, 17, 19)  # of the palette, without its greys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="SET", help="FOLDER, FOLDER:31-60, phantom-ct, phantom-mr"
    )
    parser.add_argument("--studies", type=count, default=6, metavar="N", help="of each set (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of t-SNE (default: 0)")


def on_a_plane(points: np.ndarray, seed: int, perplexity: float = 20.0) -> np.ndarray:
    """Places of points (N, C) on a plane, (N, 2), in which neighbours stay neighbours: t-SNE, exact.

    Args:
        points: N of 4 or more.
        seed: of the start.
        perplexity: effective number of neighbours; at most a third of the others are used.
    """
    from sklearn.manifold import TSNE

    few = min(perplexity, (len(points) - 1) / 3)
    return TSNE(perplexity=few, method="exact", init="random", random_state=seed).fit_transform(points)


def neighbours(vectors: np.ndarray, studies: Sequence[str]) -> np.ndarray:
    """Each embedding's nearest one by cosine among those of other studies.

    Args:
        vectors: (N, C).
        studies: of each; there are two or more.

    Returns:
        (N,) positions.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    own = np.asarray(studies)
    cosine = np.where(own[:, None] == own, -np.inf, unit @ unit.T)
    return cosine.argmax(1)


def chance(classes: Sequence[str], studies: Sequence[str]) -> float:
    """The share of same-class neighbours that a random choice among other studies would give."""
    all_of, own, pairs = Counter(classes), Counter(studies), Counter(zip(studies, classes, strict=True))
    shares = [
        (all_of[name] - pairs[study, name]) / (len(classes) - own[study])
        for name, study in zip(classes, studies, strict=True)
    ]
    return float(np.mean(shares))


def main_axis(vectors: np.ndarray, volumes: np.ndarray) -> tuple[float, float]:
    """How much of the embeddings is one number, and whether that number is the structure's size.

    Args:
        vectors: (N, C).
        volumes: (N,), working voxels.

    Returns:
        The share of variance along the first principal axis, and the absolute rank correlation of the place
        on it with the volume; both 0 to 1.
    """
    from scipy.stats import spearmanr

    centred = vectors - vectors.mean(0)
    places, spread, _ = np.linalg.svd(centred, full_matrices=False)
    rank = abs(spearmanr(places[:, 0], volumes)[0]) if np.ptp(volumes) > 0 else 0.0
    return float(spread[0] ** 2 / (spread**2).sum()), float(rank)


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Encodes all studies, places their embeddings, looks for neighbours."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    rows, vectors, raw = [], [], []
    for spec in arguments.sets:
        spacing: object = "auto"
        for study in open_studies(spec, arguments.studies):
            task = bench.task(study, spacing=spacing)
            spacing = task.spacing  # that of the set's first study, as in a pool
            embedding = task.pool[0]
            plain = embedding.tokens.mean(1)
            pooled = torch.nn.functional.normalize(plain, dim=-1).numpy()
            values = {study.label.name_of(value): value for value in study.label.values}
            voxel = np.prod(study.label.spacing) / np.prod(task.spacing)
            for name, vector, own in zip(embedding.names, pooled, plain.double().numpy(), strict=True):
                volume = float((study.label.array == values[name]).sum() * voxel)
                rows.append({"set": study.group, "study": f"{study.group}/{study.name}", "class": name,
                             "volume": volume})  # fmt: skip
                vectors.append(vector)
                raw.append(own)
            LOG.info("%s, %s: %d classes", study.group, study.name, len(embedding.names))
    points = np.stack(vectors).astype(np.float64)
    names, studies = [row["class"] for row in rows], [row["study"] for row in rows]
    nearest, places = neighbours(points, studies), on_a_plane(points, arguments.seed)
    told = predicted(np.stack(raw), np.array([row["volume"] for row in rows]), studies)
    for row, other, place, volume in zip(rows, nearest, places, told, strict=True):
        row |= {
            "told": float(volume),
            "nearest": rows[other]["class"],
            "nearest_set": rows[other]["set"],
            "place": place.tolist(),
        }
    share, rank = main_axis(points, np.array([row["volume"] for row in rows]))
    record = conditions(
        weights=bench.loaded.fingerprint, chance=chance(names, studies), main_axis=share,
        rank_with_volume=rank, rows=rows,
    )  # fmt: skip
    keep(record)


def _shared(rows: Sequence[dict]) -> list[dict]:
    """The embeddings whose class another study holds as well."""
    holders: dict[str, set[str]] = {}
    for row in rows:
        holders.setdefault(row["class"], set()).add(row["study"])
    return [row for row in rows if len(holders[row["class"]]) > 1]


def table(record: dict) -> str:
    """By set: share of nearest neighbours of the same class, by chance, and from the same set."""
    lines = []
    groups = list(dict.fromkeys(row["set"] for row in record["rows"]))
    for group in ["all", *groups]:
        rows = [row for row in _shared(record["rows"]) if group in ("all", row["set"])]
        same = [float(row["class"] == row["nearest"]) for row in rows]
        home = float(np.mean([row["set"] == row["nearest_set"] for row in rows]))
        random = chance([r["class"] for r in rows], [r["study"] for r in rows])
        studies = [row["study"] for row in rows]
        lines.append([group, len(set(studies)), len({row["class"] for row in rows}), len(rows),
                      spoken(interval(same, studies)), random, home])  # fmt: skip
    head = ["set", "studies", "classes", "embeddings", "nearest of another study has the class"]
    share, rank = record["main_axis"], record["rank_with_volume"]
    size = (
        f"{share:.0%} of the variance lies on one axis; its rank correlation with the volume is {rank:.2f}."
    )
    if "told" in record["rows"][0]:
        told, volumes = (np.array([row[key] for row in record["rows"]]) for key in ("told", "volume"))
        size += (
            f" A linear probe finds the volume with R2 {r2(told, volumes):.3f} (log volume, over studies)."
        )
    return markdown([*head, "at random in the set", "nearest is of the same set"], lines) + f"\n\n{size}"


def draw(record: dict, figure) -> None:
    """The plane: colours by structure, markers by set."""
    from matplotlib import colormaps

    rows = record["rows"]
    groups = list(dict.fromkeys(row["set"] for row in rows))
    order = Counter({name: 0 for name in dict.fromkeys(row["class"] for row in rows)})
    for row in rows:  # names in several sets first, then small sets
        order[row["class"]] += 1 / sum(r["set"] == row["set"] for r in rows)
    named = [name for name, _ in order.most_common(NAMED)]
    colour = {name: colormaps["tab20"](SHADES[n]) for n, name in enumerate(named)}
    others = [name for name in order if name not in named]
    colour |= {name: colormaps["hsv"](n / len(others), alpha=0.55) for n, name in enumerate(others)}
    figure.set_size_inches(9.5, 6)
    axes = figure.subplots()
    for row in rows:
        marker = MARKERS[groups.index(row["set"]) % len(MARKERS)]
        size = 34 if row["class"] in named else 16
        axes.scatter(*row["place"], marker=marker, color=colour[row["class"]], s=size, edgecolors="none")
    for name in named:
        axes.scatter([], [], color=colour[name], marker="o", label=name)
    for number, group in enumerate(groups):
        axes.scatter([], [], color="black", marker=MARKERS[number % len(MARKERS)], label=group)
    axes.set(xticks=[], yticks=[])
    figure.legend(loc="outside right upper", fontsize=7)
