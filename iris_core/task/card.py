"""Task cards: a task as one safetensors file. No image is in it, but features and edges that tell of one.

Tokens, features and prototypes are float16, masks one byte per cell of 2^3 voxels, landmarks one per cell of
4^3, directions of edges three bytes and outlines one bit per voxel; the embeddings were rounded alike when
they were made, so a card gives the same mask as its references, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iris_core.errors import CardError, InputError
from iris_core.model.reference_memory import ReferenceMemory
from iris_core.stored.tensor_file import read_tensors, write_tensors
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.reference import ClassInfo
from iris_core.task.task import CloseUp, Task

FORMAT = "iris-task-card-5"
BYTES = ("masks", "landmarks", "field")  # the memory's fields that hold shares of a cell
SIGNED = ("edges",)  # of one signed byte for each direction
BORDERS = ("edges", "outlines", "aside")  # all there or none
BITS = ("outlines",)  # and those of one bit a voxel


def save_card(task: Task, path: str | Path) -> dict[str, int]:
    """Writes a task card atomically.

    Returns:
        Bytes of the "plain" embeddings and of the "extras".
    """
    tensors: dict[str, Tensor] = {}
    header = _header(task, "", tensors)
    metadata = {"format": FORMAT, "fingerprint": task.fingerprint, "task": json.dumps(header)}
    write_tensors(Path(path), tensors, metadata)
    sizes = {key: value.numel() * value.element_size() for key, value in tensors.items()}
    plain = sum(size for key, size in sizes.items() if key.endswith((".tokens", ".image", ".weights")))
    return {"plain": plain, "extras": sum(sizes.values()) - plain}


def load_card(path: str | Path, fingerprint: str) -> Task:
    """Reads a task card.

    Args:
        path: the card.
        fingerprint: of the network that will use it.

    Raises:
        InputError: no such file.
        CardError: no card, a damaged one, or one of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such task card", where=path, remedy="make one with iris encode")
    header, tensors = read_tensors(path, CardError, "a task card", "a file that iris encode wrote")
    if header.get("format") != FORMAT:
        raise CardError(
            "is no task card", where=path, expected=FORMAT, found=header.get("format", "no format entry"),
            remedy="make one with iris encode",
        )  # fmt: skip
    if header.get("fingerprint") != fingerprint:
        raise CardError(
            "was made by another model", where=path, expected=f"weights {fingerprint}",
            found=f"weights {header.get('fingerprint')}",
            remedy="encode the references again with iris encode, or name the card's weights by --checkpoint",
        )  # fmt: skip
    try:
        return _task(json.loads(header["task"]), tensors, fingerprint)
    except (KeyError, ValueError, TypeError) as error:
        raise CardError(
            "is damaged", where=path, found=error, remedy="make it again with iris encode"
        ) from error


def _header(task: Task, prefix: str, tensors: dict[str, Tensor]) -> dict:
    """What a task says in JSON types; its tensors go into `tensors`, their names begin with the prefix."""
    entries = []
    for n, embedding in enumerate([*task.pool, *([task.tuned] if task.tuned is not None else [])]):
        entries.append(_pack(f"{prefix}{n}", embedding, tensors))
    close_ups = [
        {
            "extent": one.extent,
            "places": one.places,
            "task": _header(one.task, f"{prefix}look{n}.", tensors),
        }
        for n, one in enumerate(task.close_ups)
    ]
    return {
        "classes": [asdict(c) for c in task.classes],
        "modality": task.modality,
        "modality_given": task.modality_given,
        "spacing": list(task.spacing),
        "strategy": task.strategy,
        "provenance": task.provenance,
        "seed": task.seed,
        "entries": entries,
        "tuned": task.tuned is not None,
        "looks": close_ups,  # the word of the first cards; so is the tensors' "look"
    }


def _pack(prefix: str, embedding: TaskEmbedding, tensors: dict[str, Tensor]) -> dict:
    """What an embedding says in JSON types; its tensors go into `tensors`."""
    own = {"tokens": embedding.tokens.half()}
    if embedding.weights is not None:
        own["weights"] = embedding.weights
    if embedding.image is not None:
        own["image"] = embedding.image.half()
    for m, memory in enumerate(embedding.memories):
        own |= {f"{m}.{name}": _stored(name, value) for name, value in memory.tensors().items()}
    tensors |= {f"{prefix}.{key}": value.contiguous() for key, value in own.items()}
    entry = {"names": list(embedding.names), "memories": len(embedding.memories)}
    if embedding.mirror is not None:
        entry["mirror"] = _pack(f"{prefix}.mirror", embedding.mirror, tensors)
    return entry


def _stored(name: str, value: Tensor) -> Tensor:
    """A field of a memory as the file holds it."""
    if name in BYTES:
        return (value * 255).round().byte()
    if name in SIGNED:
        return (value * 127).round().to(torch.int8)
    if name in BITS:
        return torch.from_numpy(np.packbits(value.flatten(2).numpy(), axis=-1))
    return value.half()


def _restored(name: str, value: Tensor, sides: Sequence[int]) -> Tensor:
    """A field of a memory from what the file holds.

    Args:
        name: of the field.
        value: as the file holds it.
        sides: of its box of edges, voxels.
    """
    if name in BYTES:
        return value.float() / 255
    if name in SIGNED:
        return value.float() / 127
    if name in BITS:
        bits = np.unpackbits(value.numpy(), axis=-1, count=prod(sides)).astype(bool)
        return torch.from_numpy(bits).unflatten(-1, tuple(sides))
    return value.float()


def _check_borders(held: Mapping[str, Tensor]) -> None:
    """Refuses borders that cannot be read.

    Raises:
        KeyError: edges, outlines and their place are not all there or all missing.
        ValueError: outlines and edges are of different sizes.
    """
    there = [name for name in BORDERS if name in held]
    if there and len(there) < len(BORDERS):
        raise KeyError(next(name for name in BORDERS if name not in held))
    if there and held["outlines"].shape[-1] != -(-prod(held["edges"].shape[2:]) // 8):
        raise ValueError("outlines of another size than the edges")


def _unpack(prefix: str, entry: Mapping[str, object], tensors: Mapping[str, Tensor]) -> TaskEmbedding:
    memories = []
    for m in range(int(str(entry["memories"]))):
        first = f"{prefix}.{m}."
        held = {key[len(first) :]: value for key, value in tensors.items() if key.startswith(first)}
        _check_borders(held)
        sides = held["edges"].shape[2:] if "edges" in held else ()
        memories.append(
            ReferenceMemory(**{name: _restored(name, value, sides) for name, value in held.items()})
        )
    image = tensors.get(f"{prefix}.image")
    mirror = entry.get("mirror")
    return TaskEmbedding(
        tuple(entry["names"]),  # type: ignore[arg-type]
        tensors[f"{prefix}.tokens"].float(),
        tuple(memories),
        tensors.get(f"{prefix}.weights"),
        None if image is None else image.float(),
        None if mirror is None else _unpack(f"{prefix}.mirror", mirror, tensors),  # type: ignore[arg-type]
    )


def _task(header: dict, tensors: Mapping[str, Tensor], fingerprint: str, prefix: str = "") -> Task:
    embeddings = [_unpack(f"{prefix}{n}", entry, tensors) for n, entry in enumerate(header["entries"])]
    tuned = embeddings.pop() if header["tuned"] else None
    classes = tuple(ClassInfo(c["name"], int(c["value"]), tuple(c["color"])) for c in header["classes"])
    close_ups = tuple(
        CloseUp(
            _task(entry["task"], tensors, fingerprint, f"{prefix}look{n}."),
            tuple(entry["extent"]),
            tuple((tuple(first), tuple(last)) for first, last in entry["places"]),
        )
        for n, entry in enumerate(header.get("looks", ()))
    )
    provenance = header["provenance"]
    given = header.get("modality_given", provenance.get("modality_reason") == "given")  # not in first cards
    return Task(
        classes, header["modality"], tuple(header["spacing"]), tuple(embeddings), header["strategy"],
        fingerprint, provenance, tuned, int(header["seed"]), close_ups, bool(given),
    )  # fmt: skip
