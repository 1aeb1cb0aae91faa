"""IrisPlanner: nnU-Net's own planner with the paper's grid, in plans that stock nnU-Net reads.

nnU-Net's readers give (k, j, i). `NibabelIOWithReorient` makes these RAS+, and `transpose_forward` [2, 1, 0]
turns them round. So what is preprocessed, and what the network sees, is RAS+ in (i, j, k) as everywhere in
`iris_core`; spacing and patch size in the plans are in that order too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet

from iris_core.config import DOWNSAMPLE_RATIO, PAPER_WINDOW
from iris_core.errors import InputError
from iris_core.preprocessing.grid import working_shape
from iris_core.triple import triple
from iris_core.volume.orientation import axis_plan
from iris_core.volume_io.exact_file import open_exactly
from nnunet_trainers.planning.recipe import CONFIGURATION, CT_SCHEME, FORMAT, KEY, Z_SCHEME

LEAST_SIDE = 2 * DOWNSAMPLE_RATIO  # voxels of a patch along an axis
SMALLEST_MAP = 4  # voxels of the deepest feature map of the stock network
REVERSED = [2, 1, 0]


@dataclass(frozen=True)
class PlanRequest:
    """What a person asks of the plans.

    Args:
        intensity: "paper" or "nnunet".
        spacing: mm along the RAS+ axes; None leaves it to nnU-Net.
        patch: voxels along the RAS+ axes, multiples of 16; None: 128^3, smaller where no image is as large.
        batch: episodes of a step.
        name: of the plans.
    """

    intensity: str = "paper"
    spacing: tuple[float, float, float] | None = (1.5, 1.5, 1.5)
    patch: tuple[int, int, int] | None = None
    batch: int = 2
    name: str = "irisPlans"

    def __post_init__(self) -> None:
        if self.patch and any(side < LEAST_SIDE or side % DOWNSAMPLE_RATIO for side in self.patch):
            raise InputError(
                "unusable patch size",
                where="--patch",
                expected=f"multiples of {DOWNSAMPLE_RATIO} from {LEAST_SIDE} on",
                found=",".join(map(str, self.patch)),
            )


class IrisPlanner(ExperimentPlanner):
    """nnU-Net's planner for one dataset.

    Args:
        dataset: "DatasetNNN_Name", whose fingerprint nnU-Net has extracted.
        request: what is asked for.
        modalities: group -> "ct", "mr" or "pet".
    """

    def __init__(self, dataset: str, request: PlanRequest, modalities: Mapping[str, str]) -> None:
        spacing = None if request.spacing is None else [float(size) for size in reversed(request.spacing)]
        super().__init__(dataset, plans_name=request.name, overwrite_target_spacing=spacing)
        self.request, self.modalities = request, dict(modalities)
        self.lowres_creation_threshold = 0  # windows are what Iris has for large volumes
        self._reorient_fingerprint()

    def _reorient_fingerprint(self) -> None:
        """Turns sizes and spacings, which nnU-Net lists in the files' own order, to RAS+ as (k, j, i)."""
        if self.dataset_json.get("overwrite_image_reader_writer") == NibabelIOWithReorient.__name__:
            return
        shapes, spacings = [], []
        listed = (self.dataset_fingerprint[key] for key in ("shapes_after_crop", "spacings"))
        for case, shape, spacing in zip(self.dataset.values(), *listed, strict=True):
            order, _ = axis_plan(open_exactly(Path(case["images"][0])).affine)
            shapes.append([shape[2 - axis] for axis in reversed(order)])
            spacings.append([spacing[2 - axis] for axis in reversed(order)])
        self.dataset_fingerprint.update(shapes_after_crop=shapes, spacings=spacings)

    def determine_reader_writer(self) -> type:
        """The reader that brings every image to RAS+."""
        return NibabelIOWithReorient

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """(k, j, i) to (i, j, k), and back."""
        return REVERSED, REVERSED

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple:
        """Trilinear as `torch.nn.functional.interpolate` does it, for images and labels."""
        return (
            resample_torch_fornnunet, _resampling(is_seg=False),
            resample_torch_fornnunet, _resampling(is_seg=True),
        )  # fmt: skip

    def determine_segmentation_softmax_export_fn(self, *args: Any, **kwargs: Any) -> tuple:
        """The same for predictions."""
        return resample_torch_fornnunet, _resampling(is_seg=False)

    def determine_normalization_scheme_and_whether_mask_is_used_for_norm(self) -> tuple[list, list]:
        """What stock prediction does with a raw image (docs/decisions/0040)."""
        all_ct = set(self.modalities.values()) == {"ct"}
        return [CT_SCHEME if self.request.intensity == "nnunet" and all_ct else Z_SCHEME], [False]

    def get_plans_for_configuration(self, spacing: Sequence[float], *args: Any, **kwargs: Any) -> dict:
        """nnU-Net's configuration with our patch and batch; its network fitted to that patch."""
        plan = super().get_plans_for_configuration(spacing, *args, **kwargs)
        if len(spacing) == 3:
            plan["patch_size"] = list(self.request.patch or self._patch(spacing))
            plan["batch_size"] = self.request.batch
            plan["architecture"]["arch_kwargs"].update(self._topology(spacing, plan["patch_size"]))
        return plan

    def _patch(self, spacing: Sequence[float]) -> tuple[int, ...]:
        """128^3; along each axis no more than holds the largest image, in steps of 16 voxels."""
        cases = zip(
            self.dataset_fingerprint["shapes_after_crop"], self.dataset_fingerprint["spacings"], strict=True
        )
        sizes = [working_shape(shape[::-1], size[::-1], triple(spacing)) for shape, size in cases]
        steps = -(-np.max(sizes, axis=0) // DOWNSAMPLE_RATIO) * DOWNSAMPLE_RATIO
        return tuple(
            int(np.clip(side, LEAST_SIDE, most)) for side, most in zip(steps, PAPER_WINDOW, strict=True)
        )

    def _topology(self, spacing: Sequence[float], patch: Sequence[int]) -> dict:
        """Strides and kernels of the stock network that divide the patch."""
        for most_poolings in (999999, 4):  # 2^4 = 16 divides every patch
            _, strides, kernels, padded, _ = get_pool_and_conv_props(
                spacing, patch, SMALLEST_MAP, most_poolings
            )
            if list(padded) == list(patch):
                break
        stages = len(strides)
        return {
            "n_stages": stages,
            "features_per_stage": [
                min(self.UNet_max_features_3d, self.UNet_base_num_features * 2**stage)
                for stage in range(stages)
            ],
            "kernel_sizes": kernels,
            "strides": strides,
            "n_conv_per_stage": self.UNet_blocks_per_stage_encoder[:stages],
            "n_conv_per_stage_decoder": self.UNet_blocks_per_stage_decoder[: stages - 1],
        }

    def save_plans(self, plans: dict) -> None:
        """Writes the plans with our key and our one configuration.

        Raises:
            InputError: nnU-Net takes the images for flat ones.
        """
        if CONFIGURATION not in plans["configurations"]:
            raise InputError(
                "the images are one voxel thick at this spacing",
                where=self.dataset_name,
                found=f"{self.request.spacing} mm",
                remedy="choose a smaller --spacing",
            )
        plans["configurations"] = {CONFIGURATION: plans["configurations"][CONFIGURATION]}
        plans[KEY] = {"format": FORMAT, "intensity": self.request.intensity, "modalities": self.modalities}
        super().save_plans(plans)

    @property
    def path(self) -> Path:
        """The plans file."""
        from nnunetv2.paths import nnUNet_preprocessed

        return Path(nnUNet_preprocessed) / self.dataset_name / f"{self.plans_identifier}.json"


def _resampling(*, is_seg: bool) -> dict[str, bool]:
    return {"is_seg": is_seg, "force_separate_z": False, "memefficient_seg_resampling": False}
