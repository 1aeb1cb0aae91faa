"""The intensity recipe of some plans, and the part of the plans that is ours.

    plans["iris"] = {
      "format": 1,
      "intensity":  "paper",                      or "nnunet": what the preprocessed storage holds
      "modalities": {"HippocampusMR": "mr"}       group (see partial_labels) -> "ct", "mr" or "pet"
    }

nnU-Net keeps keys that it does not know, in plans, results and checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping

from iris_core.errors import InputError
from iris_core.preprocessing.intensity import CtStatistics, IntensityRecipe

KEY = "iris"
FORMAT = 1
CONFIGURATION = "3d_fullres"
CT_SCHEME, Z_SCHEME = "CTNormalization", "ZScoreNormalization"


def recipe_of(plans: Mapping, configuration: str = CONFIGURATION) -> IntensityRecipe:
    """The recipe by which the preprocessed storage of some plans was made.

    Args:
        plans: a whole plans file, ours or stock nnU-Net's.
        configuration: of the plans; only read for the recipe "nnunet".

    Raises:
        InputError: the plans normalise in a way that this package has no counterpart for.
    """
    if plans.get(KEY, {}).get("intensity") == "paper":
        return IntensityRecipe("paper")
    settings = plans["configurations"][configuration]
    (scheme, *others), (masked, *_) = settings["normalization_schemes"], settings["use_mask_for_norm"]
    if others or masked or scheme not in (CT_SCHEME, Z_SCHEME):
        raise InputError(
            "these plans normalise intensities in a way that Iris cannot repeat",
            where=plans.get("plans_name"),
            expected=f"one channel with {CT_SCHEME} or {Z_SCHEME}, over the whole crop",
            found=f"{settings['normalization_schemes']}, use_mask_for_norm {settings['use_mask_for_norm']}",
            remedy="plan with iris plan-and-preprocess",
        )
    return IntensityRecipe("nnunet", ct_statistics(plans) if scheme == CT_SCHEME else None)


def ct_statistics(plans: Mapping) -> CtStatistics:
    """What nnU-Net's CT normalisation uses: the training set's labelled voxels, in HU."""
    values = plans["foreground_intensity_properties_per_channel"]["0"]
    return CtStatistics(values["percentile_00_5"], values["percentile_99_5"], values["mean"], values["std"])
