"""Every number of the model, with its source; presets share one code path.

Paper: 3.2, 4.1 and supplement 7. Numbers that the paper does not give are marked "ours" and stand in
docs/decisions.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from iris_core.errors import InputError

DOWNSAMPLE_RATIO = 16  # supplement 7: "four downsampling stages"
PAPER_SPACING = (1.5, 1.5, 1.5)  # mm, supplement 7
CT_CLIP = (-990.0, 500.0)  # HU, supplement 7
PERCENTILE_CLIP = (2.0, 98.0)  # per cent, MR and PET, supplement 7
PAPER_WINDOW = (128, 128, 128)  # voxels, 4.1
WINDOW_OVERLAP = 0.5  # supplement 7
MEMORY_MOMENTUM = 0.999  # Eq. 7
CONTEXT_TOKENS = 10  # 4.3, Fig. 6 right
STRATEGIES = ("one-shot", "ensemble", "retrieval", "image-retrieval", "tuning")  # 3.3, 4.3
EMBEDDING_PARTS = ("high-resolution", "foreground", "context")  # 4.3, Table 4: what the ablation leaves out


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of one Iris network.

    Args:
        channels: feature channels at strides 1, 2, 4, 8, 16 (paper: base 32, four down-samplings).
        encoder_blocks: residual blocks per encoder stage (ours: the paper gives the parameter count only).
        decoder_blocks: residual blocks per decoder stage (ours).
        context_tokens: m, learnable query tokens (paper: 10).
        embedding_parts: of the task embedding, all of EMBEDDING_PARTS outside ablations. Without
            "high-resolution" the mask is read at the features' own resolution; a token that is left out is 0.
        attention_heads: heads of every attention layer (ours).
        decoder_layers: bidirectional cross-attention blocks at the bottleneck (ours: 2).
        deep_vectors: a class meets the query's deepest features and the decoder's maps at strides 8, 4 and 2
            as well as at full resolution; without a memory the sum is the answer (ours, docs/decisions/0090).
        balanced_tokens: the contextual tokens together are as long as a foreground embedding, so that it
            counts where tokens are averaged and compared (ours, docs/decisions/0090).
        similarity: extension, foreground/background prototype maps at every level.
        correspondence: extension, attention to reference features with relative position, and the
            displacement that follows from it.
        place: extension, the blurred reference mask at the same place of the field of view.
        matching_channels: width of the features that extensions compare (ours).
        evidence_channels: width of the per-class head at half resolution (ours).
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    encoder_blocks: tuple[int, ...] = (1, 2, 2, 2, 3)
    decoder_blocks: tuple[int, ...] = (1, 1, 1, 1)
    context_tokens: int = CONTEXT_TOKENS
    embedding_parts: tuple[str, ...] = EMBEDDING_PARTS
    attention_heads: int = 8
    decoder_layers: int = 2
    deep_vectors: bool = False
    balanced_tokens: bool = False
    similarity: bool = False
    correspondence: bool = False
    place: bool = False
    matching_channels: int = 32
    evidence_channels: int = 8

    def __post_init__(self) -> None:
        if len(self.channels) != 5:
            raise InputError("wrong number of stages", where="channels", expected=5, found=len(self.channels))
        if self.channels[-1] % self.attention_heads:
            raise InputError(
                "attention heads must divide the deepest channels",
                where="attention_heads",
                expected=f"a divisor of {self.channels[-1]}",
                found=self.attention_heads,
            )
        parts = set(self.embedding_parts)
        if parts - set(EMBEDDING_PARTS) or not parts - {"high-resolution"}:
            raise InputError(
                "no such parts of a task embedding",
                where="embedding_parts",
                expected=f"some of {', '.join(EMBEDDING_PARTS)}, foreground or context among them",
                found=", ".join(self.embedding_parts) or "none",
            )

    @property
    def extended(self) -> bool:
        """True when any extension to the paper is switched on."""
        return self.similarity or self.correspondence or self.place

    def to_dict(self) -> dict[str, object]:
        """The config as plain JSON types, without settings that older files lack unless they are used."""
        values = asdict(self)
        if self.embedding_parts == EMBEDDING_PARTS:  # so that the fingerprints of older files hold
            del values["embedding_parts"]
        for name in ("deep_vectors", "balanced_tokens"):
            if not values[name]:
                del values[name]
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> ModelConfig:
        """The config of a mapping.

        Raises:
            InputError: a key is unknown; the nearest known one is named.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                raise InputError(
                    "unknown setting",
                    where=key,
                    expected=near[0] if near else f"one of {', '.join(known)}",
                    remedy="correct the name or remove it",
                )
        read: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        return cls(**read)


_EXTENSIONS: dict[str, Any] = {"similarity": True, "correspondence": True, "place": True}

PRESETS: dict[str, ModelConfig] = {
    # The paper's network with nothing added: within 5 % of 69.4 M parameters (Table 3).
    "paper": ModelConfig(),
    # For shipped weights trained on a GPU: base width 32, at most 19 M parameters.
    "small": ModelConfig(
        channels=(32, 64, 128, 160, 256),
        encoder_blocks=(1, 1, 1, 2, 2),
        **_EXTENSIONS,
    ),
    # For training on two CPU cores.
    "tiny": ModelConfig(
        channels=(8, 24, 48, 96, 128),
        encoder_blocks=(1, 1, 1, 1, 1),
        attention_heads=4,
        **_EXTENSIONS,
    ),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The named preset, with single settings changed.

    Raises:
        InputError: no preset has that name.
    """
    if name not in PRESETS:
        raise InputError("unknown preset", where=name, expected=f"one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
