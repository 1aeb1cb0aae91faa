"""One step of episodic training. Paper: Algorithm 1, lines 10-14, and Eq. 7.

Departs: a share of the steps gives the decoder tokens alone, half of them the bank's own, since the reference
memory of our extensions would otherwise do all the work and the bank none (docs/decisions/0031).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn.functional import interpolate, max_pool3d

from iris_core.model.iris import Decoded
from iris_core.training.losses import evidence_loss, segmentation_loss, smoothness_loss
from nnunet_trainers.episodes.episode import LabelledBatch
from nnunet_trainers.training.bank_network import NEVER, BankNetwork
from nnunet_trainers.training.settings import TrainerSettings

Source = Literal["reference", "tokens", "bank"]


def draw_source(rng: np.random.Generator, settings: TrainerSettings) -> Source:
    """What the decoder of a step is given: all of the reference, its tokens alone, or the bank's tokens."""
    if rng.random() >= settings.without_memory:
        return "reference"
    return "bank" if rng.random() < settings.from_bank else "tokens"


def decode_episodes(network: BankNetwork, batch: LabelledBatch, source: Source) -> tuple[Decoded, Tensor]:
    """Encodes the references and decodes the queries.

    Returns:
        What was decoded, and the references' tokens (B, K, m + 1, C).
    """
    iris = network.iris
    layout = torch.channels_last_3d
    reference = iris.encode_image(batch.reference_image.contiguous(memory_format=layout))
    tokens = iris.encode_tokens(reference, batch.reference_mask)
    memory = None
    if source == "reference":
        memory = iris.encode_memory(reference, batch.reference_mask, batch.reference_offset)
    given = network.banked(batch.classes, tokens) if source == "bank" else tokens
    query = iris.encode_image(batch.query_image.contiguous(memory_format=layout))
    evidence = None if memory is None else iris.compare(query, memory, batch.query_offset)
    return iris.decode(query, given, evidence), tokens


def loss_of(decoded: Decoded, batch: LabelledBatch) -> Tensor:
    """Dice + cross-entropy, with the extensions' losses; voxels with the ignore label count for nothing."""
    logits = decoded.logits.float().masked_fill(batch.ignored, NEVER)
    target = batch.query_mask
    loss = segmentation_loss(logits, target, batch.valid, batch.present)
    evidence = decoded.evidence.maps
    if batch.ignored.any():
        evidence, target = _without_ignored(evidence, target, batch.ignored)
    loss = loss + evidence_loss(evidence, target, batch.valid, batch.present)
    return loss + smoothness_loss(decoded.evidence.displacements).to(loss.device)


def _without_ignored(
    evidence: Mapping[str, Tensor], target: Tensor, ignored: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Evidence and target that say "nothing" in every cell of 2 voxels with an ignored voxel in it."""
    cells = max_pool3d(ignored.float(), 2) > 0  # (B, 1, d, h, w)
    masked = {
        name: maps.float().masked_fill(cells[:, :, None], NEVER if name == "similarity" else 0.0)
        for name, maps in evidence.items()
    }
    return masked, target.masked_fill(interpolate(cells.float(), size=target.shape[2:]) > 0, 0.0)


def remember(network: BankNetwork, batch: LabelledBatch, tokens: Tensor) -> None:
    """Moves the bank towards the step's tokens: rank by rank, then in the order of the batch.

    Every process of a group calls it; all of them hold the same bank before and after.
    """
    where = batch.valid.to(tokens.device)
    mine = (batch.classes[where].tolist(), tokens.detach()[where].float().cpu())
    shares: list = [mine]
    if distributed.is_available() and distributed.is_initialized():
        shares = [None] * distributed.get_world_size()
        distributed.all_gather_object(shares, mine)
    with torch.no_grad():
        for classes, own in shares:
            network.bank.update(classes, own)


@torch.no_grad()
def counts(logits: Tensor, batch: LabelledBatch, classes: int) -> Tensor:
    """(3, classes): voxels of true and false positives and of false negatives, per class of the dataset."""
    found = (logits > 0) & ~batch.ignored
    truth = batch.query_mask > 0.5
    each = torch.stack([(found & truth), (found & ~truth), (~found & truth & ~batch.ignored)])
    each = each.flatten(3).sum(-1).float()  # (3, B, K)
    total = each.new_zeros(3, classes)
    return total.index_add_(1, batch.classes[batch.valid], each[:, batch.valid])
