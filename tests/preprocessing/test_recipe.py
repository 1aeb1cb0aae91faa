"""Laws of the two intensity recipes, and how plans name them."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.preprocessing.intensity import CtStatistics, IntensityRecipe, normalise
from nnunet_trainers.planning.recipe import recipe_of

STATISTICS = CtStatistics(low=-50.0, high=200.0, mean=40.0, deviation=25.0)
ARRAY = np.random.default_rng(0).normal(0, 300, (6, 7, 8)).astype(np.float32)


def plans(scheme: str, *, masked: bool = False, **iris: object) -> dict:
    return {
        "plans_name": "irisPlans",
        "configurations": {"3d_fullres": {"normalization_schemes": [scheme], "use_mask_for_norm": [masked]}},
        "foreground_intensity_properties_per_channel": {
            "0": {"percentile_00_5": -50.0, "percentile_99_5": 200.0, "mean": 40.0, "std": 25.0}
        },
        **({"iris": iris} if iris else {}),
    }


def test_ct_by_statistics_is_the_written_out_formula():
    result = normalise(ARRAY, "ct", IntensityRecipe("nnunet", STATISTICS))
    assert np.allclose(result, (ARRAY.clip(-50, 200) - 40) / 25, atol=1e-6)


@pytest.mark.parametrize(("modality", "ct"), [("mr", STATISTICS), ("pet", None), ("ct", None)])
def test_everything_else_is_scored_by_itself_without_clipping(modality, ct):
    result = normalise(ARRAY, modality, IntensityRecipe("nnunet", ct))
    assert np.allclose(result, (ARRAY - ARRAY.mean()) / ARRAY.std(), atol=1e-5)


def test_normalising_leaves_the_image_as_it_was():
    before = ARRAY.copy()
    for recipe in (IntensityRecipe(), IntensityRecipe("nnunet"), IntensityRecipe("nnunet", STATISTICS)):
        normalise(ARRAY, "ct", recipe)
    assert np.array_equal(ARRAY, before)


@pytest.mark.parametrize("recipe", [IntensityRecipe(), IntensityRecipe("nnunet", STATISTICS)])
def test_a_recipe_survives_json(recipe):
    assert IntensityRecipe.from_dict(recipe.to_dict()) == recipe


def test_a_recipe_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match=r"paper or nnunet.*minmax"):
        IntensityRecipe("minmax")
    with pytest.raises(InputError, match="statistics"):
        IntensityRecipe("paper", STATISTICS)


def test_plans_name_their_recipe_and_stock_plans_have_nnunets():
    assert recipe_of(plans("ZScoreNormalization", intensity="paper")) == IntensityRecipe("paper")
    assert recipe_of(plans("ZScoreNormalization", intensity="nnunet")) == IntensityRecipe("nnunet")
    assert recipe_of(plans("CTNormalization", intensity="nnunet")) == IntensityRecipe("nnunet", STATISTICS)
    assert recipe_of(plans("CTNormalization")) == IntensityRecipe("nnunet", STATISTICS)


@pytest.mark.parametrize(
    "given", [plans("RescaleTo01Normalization"), plans("ZScoreNormalization", masked=True)]
)
def test_plans_that_cannot_be_repeated_are_refused(given):
    with pytest.raises(InputError, match=r"irisPlans.*iris plan-and-preprocess"):
        recipe_of(given)
