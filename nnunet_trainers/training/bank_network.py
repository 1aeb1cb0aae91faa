"""BankNetwork: network and memory bank as one module that stock nnU-Net saves and predicts with.

Paper: supplement 7, Fig. 8. nnU-Net's predictor knows nothing of references: it hands over windows without
their place and takes the largest of all channels. A background channel of zeros in front of the K sigmoid
logits makes that "above 0, then the largest", which is iris_core's rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.bank.memory_bank import MemoryBank
from iris_core.config import preset
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.model.layers import in_channels_last
from iris_core.triple import triple
from iris_core.windows.windows import fitting, pad
from nnunet_trainers.episodes.axes import inverse, permuted, to_ijk
from nnunet_trainers.training.settings import TrainerSettings

NEVER = -30.0  # logit of a class that no training step has held


class BankNetwork(nn.Module):
    """Segments with the memory bank's embeddings.

    Args:
        iris: the network.
        bank: of the dataset's K classes, in the order of their values.
        order: from nnU-Net's axes to (i, j, k).
    """

    def __init__(self, iris: Iris, bank: MemoryBank, order: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        self.iris, self.bank = in_channels_last(iris), bank
        self.order, self._back = tuple(order), inverse(order)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every class of the bank.

        Args:
            image: (B, 1, a, b, c) in nnU-Net's axes.

        Returns:
            (B, 1 + K, a, b, c), background first.
        """
        shape = image.shape[2:]
        padded, padding = pad(image.flatten(0, 1), triple(fitting(n) for n in shape))
        window = permuted(padded[:, None], self.order).contiguous(memory_format=torch.channels_last_3d)
        tokens = self.bank.tokens[self.bank.seen].expand(len(image), -1, -1, -1)
        logits = window.new_full((len(image), len(self.bank.seen), *window.shape[2:]), NEVER)
        if tokens.shape[1]:
            features = self.iris.encode_image(window)
            logits[:, self.bank.seen] = self.iris.decode(features, tokens).logits.to(logits)
        logits = padding.remove(permuted(logits, self._back))
        return F.pad(logits, (0, 0, 0, 0, 0, 0, 1, 0)).contiguous()

    @torch.no_grad()
    def banked(self, classes: Tensor, tokens: Tensor) -> Tensor:
        """The bank's tokens where it has seen the class, the given ones elsewhere.

        Args:
            classes: (B, K), -1 where there is no class.
            tokens: (B, K, m + 1, C).
        """
        known = (classes >= 0) & self.bank.seen[classes.clamp_min(0)]
        stored = self.bank.tokens[classes.clamp_min(0)].to(tokens.dtype)
        return torch.where(known[..., None, None], stored, tokens)


def build_bank_network(plans: Mapping, classes: int) -> BankNetwork:
    """The network that some plans ask for, with an empty bank.

    Args:
        plans: with the trainer's settings in them; nnU-Net hands over nothing else when it predicts.
        classes: K. nnU-Net does not tell their names here: the bank calls them by number, exports by name.
    """
    settings = TrainerSettings.of_plans(plans)
    config = preset(settings.preset)
    numbers = [str(number + 1) for number in range(classes)]
    bank = MemoryBank(numbers, config.context_tokens, config.channels[-1], settings.momentum)
    return BankNetwork(build(config, seed=settings.seed), bank, to_ijk(plans))
