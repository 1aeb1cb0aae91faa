"""What one training episode costs: floating-point operations, memory, and the operations of a whole training.

    python benchmarks/training_cost.py --preset paper --window 128 --classes 1 [--seconds]

Counted on tensors without memory; what is kept for the backward pass is in bfloat16. --seconds also times one
step here, on the CPU.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from iris_core.config import preset
from iris_core.model.build import build
from iris_core.model.iris import Iris


def step(model: Iris, image: Tensor, masks: Tensor) -> None:
    """Forward and backward of one batch, reference and query alike."""
    reference = model.encode_image(image)
    tokens = model.encode_tokens(reference, masks)
    offset = torch.zeros(image.shape[0], 3)
    memory = model.encode_memory(reference, masks, offset)
    query = model.encode_image(image)
    decoded = model.decode(query, tokens, None if memory is None else model.compare(query, memory, offset))
    decoded.logits.mean().backward()


def kept_bytes(model: Iris, image: Tensor, masks: Tensor) -> int:
    """Makes a step.

    Returns:
        Bytes that it keeps for its backward pass, weights aside.
    """
    weights = {StorageWeakRef(weight.untyped_storage()) for weight in model.parameters()}
    kept: dict[StorageWeakRef, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = StorageWeakRef(tensor.untyped_storage())
        if storage not in weights:
            kept.setdefault(storage, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step(model, image, masks)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def batch(window: int, classes: int) -> tuple[Tensor, Tensor]:
    """One episode: image (1, 1, D, H, W), masks (1, K, D, H, W)."""
    shape = (window, window, window)
    masks = torch.zeros(1, classes, *shape)
    masks[..., : window // 2] = 1
    return torch.ones(1, 1, *shape), masks


def main() -> None:
    """Prints the operations of a step, of the paper's training, and seconds where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--seconds", action="store_true")
    arguments = parser.parse_args()
    with FakeTensorMode(), FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):
        kept = kept_bytes(build(preset(arguments.preset)), *batch(arguments.window, arguments.classes))
    operations = counter.get_total_flops()
    print(f"{arguments.preset}, window {arguments.window}, classes {arguments.classes}")
    print(f"one episode, forward and backward: {operations / 1e12:.2f} TFLOP")
    print(f"kept for the backward pass of one episode: {kept / 2**30:.2f} GiB")
    print(f"80 000 steps of 32 episodes: {operations * 80_000 * 32 / 1e18:.1f} EFLOP")
    if arguments.seconds:
        model = build(preset(arguments.preset))
        started = time.perf_counter()
        step(model, *batch(arguments.window, arguments.classes))
        print(f"one step here, {torch.get_num_threads()} threads: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
