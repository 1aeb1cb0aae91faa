"""`iris info`: versions, weights, devices and a check of the installation."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

MODULES = ("torch", "numpy", "scipy", "nibabel", "SimpleITK", "monai", "safetensors", "PIL", "tqdm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="other weights than the shipped ones")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 when a check failed.
    """
    from iris_core.runs.report import NOTICE, to_json, versions

    checks = {f"imports {name}": _check(partial(_imports, name)) for name in MODULES}
    checks["temporary folder is writable"] = _check(_temporary_folder)
    weights: dict = {}
    checks["weights load"] = _check(lambda: weights.update(_weights(arguments.checkpoint)))
    found = {
        "notice": NOTICE,
        "versions": versions(),
        "weights": weights,
        "devices": _devices(),
        "checks": checks,
    }
    if arguments.json:
        print(to_json(found))
    else:
        print(_text(found))
    return 0 if all(state == "ok" for state in checks.values()) else 1


def _check(probe: Callable[[], object]) -> str:
    """The word ok, or what went wrong in one line."""
    try:
        probe()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "ok"


def _imports(name: str) -> None:
    import importlib

    importlib.import_module(name)


def _temporary_folder() -> None:
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(b"iris")


def _weights(checkpoint: Path | None) -> dict:
    from iris_core.checkpoint import load_model

    loaded = load_model(checkpoint, "cpu")
    return {
        "file": "shipped" if checkpoint is None else str(checkpoint),
        "preset": loaded.preset,
        "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        "fingerprint": loaded.fingerprint,
        "meta": {
            name: value for name, value in loaded.meta.items() if isinstance(value, str | int | float | bool)
        },
    }


def _devices() -> dict:
    import os

    try:
        import torch
    except ImportError:
        return {}
    devices = {"cpu": f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return devices


def _text(found: dict) -> str:
    lines = ["versions"]
    lines += [f"  {name:<12} {version or 'not installed'}" for name, version in found["versions"].items()]
    lines.append("weights")
    flat = {**found["weights"], **found["weights"].get("meta", {})}
    lines += [f"  {name:<12} {value}" for name, value in flat.items() if name != "meta"] or ["  none"]
    lines.append("devices")
    lines += [f"  {name:<12} {text}" for name, text in found["devices"].items()]
    lines.append("checks")
    lines += [
        f"  {'ok ' if state == 'ok' else 'BAD'} {name}{'' if state == 'ok' else ': ' + state}"
        for name, state in found["checks"].items()
    ]
    return "\n".join([*lines, found["notice"]])
