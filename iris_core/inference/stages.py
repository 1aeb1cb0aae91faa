"""The settings of each stage of the pipeline, one group a stage. The numbers are ours."""

from __future__ import annotations

from dataclasses import dataclass

from iris_core.errors import InputError

MOST_TRIED = 10_000  # biases

@dataclass(frozen=True)
class EvidenceSettings:
    """What references say of a query joins the decoder (decisions 0005 to 0007, 0017); off: tokens alone.

    Args:
        enabled: whether the stage takes part, here as in every group.
        local_sharpness: of the choice between references by how well features agree at a place.
    """

    enabled: bool = True
    local_sharpness: float = 12.0


@dataclass(frozen=True)
class AlignmentSettings:
    """Each reference is moved to where the query has the same places (decisions 0020, 0025).

    Args:
        least_overlap: share of the smaller field of view that a shift leaves.
        shift_margin: of mean cosine, by which a shift must beat another.
        chance_factor: times 1 / sqrt(numbers compared): what the best of many shifts may reach by chance.
        rim_cells: cells around the structures that count with them.
        least_seen: share of the structures and their rim that a shift of theirs leaves in view.
        matched_cosine: mean cosine of the field above which two views show the same anatomy.
        beside_cells: cells along an axis, in which the structures choose freely.
        worst_field: of mean cosine, that the whole field may lose by it.
    """

    enabled: bool = True
    least_overlap: float = 0.4
    shift_margin: float = 0.02
    chance_factor: float = 4.0
    rim_cells: int = 1
    least_seen: float = 0.3
    matched_cosine: float = 0.35
    beside_cells: float = 1.5
    worst_field: float = 0.15


@dataclass(frozen=True)
class PlaceSearchSettings:
    """Of several places the one is taken that explains both fields of view best (decision 0120).

    Args:
        field_voxels: of the descriptor of a whole reference; fewer are coarser and quicker.
        most_cells: of a query; a larger one would take too much memory, and its guess counts.
        least_overlap: share of the smaller field that must lie on the other; half of it after the fits.
        most_places: that are tried.
        nearly_as_good: share of the best place's score that another must have to be tried.
        cells_apart: along an axis, between them.
        settled_within: voxels, between guess and place where the guess counts.
        fit_reach: cells to each side that a coarse fit searches.
        fitted_again: of the places, by a second fit.
        overlap_power: of the share of the smaller field that is explained.
        matched_share: of the difference, explained, above which two views show the same anatomy.
    """

    enabled: bool = True
    field_voxels: int = 60_000
    most_cells: int = 250_000
    least_overlap: float = 0.3
    most_places: int = 12
    nearly_as_good: float = 0.85
    cells_apart: float = 2.0
    settled_within: float = 5.0
    fit_reach: int = 2
    fitted_again: int = 4
    overlap_power: float = 0.15
    matched_share: float = 0.6


@dataclass(frozen=True)
class FeatureFitSettings:
    """The displacement is fitted to the features of the pair (decision 0022).

    Args:
        fit_steps: of Adam.
        fit_rate: of Adam, cells of 4 voxels a step.
        fit_stiffness: of the squared step between neighbouring cells.
    """

    enabled: bool = True
    fit_steps: int = 12
    fit_rate: float = 0.08
    fit_stiffness: float = 0.25


@dataclass(frozen=True)
class EdgeFitSettings:
    """It is fitted to the edges of the pair then, and carries masks voxel by voxel (decision 0034).

    Args:
        edge_steps: of Adam.
        edge_rate: of Adam, voxels a step.
        edge_stiffness: of the squared step between neighbouring cells, voxels.
        labelled_share: of a cell, that must be labelled so that edges are fitted there.
        cells_around: cells of 2 voxels around the labelled structures in which edges are fitted.
        trust_reach: voxels to each side over which the similarity of edges is averaged.
        most_trusted: share of the transferred masks where edges are alike.
        choice_sharpness: of the choice between references by how alike their edges are.
    """

    enabled: bool = True
    edge_steps: int = 8
    edge_rate: float = 0.7
    edge_stiffness: float = 0.05
    labelled_share: float = 0.02
    cells_around: int = 4
    trust_reach: int = 4
    most_trusted: float = 0.7
    choice_sharpness: float = 4.0


@dataclass(frozen=True)
class BiasSettings:
    """Each class's logits get the bias by which its reference finds itself best (decision 0029).

    Args:
        lowest_bias, highest_bias, bias_step: logits that are tried.
        bias_caution: of Dice a logit, by which a larger bias must be better.
        least_gain: of Dice on the reference, that a bias must bring.
        most_let_in: times the volume of the class that a bias may let in.
    """

    enabled: bool = True
    lowest_bias: float = -3.0
    highest_bias: float = 14.0
    bias_step: float = 0.25
    bias_caution: float = 1e-3
    least_gain: float = 0.01
    most_let_in: float = 2.0

    def __post_init__(self) -> None:
        least = (self.highest_bias - self.lowest_bias) / MOST_TRIED
        if not self.bias_step > max(0.0, least):
            raise InputError(
                "unusable value", where="bias.bias_step", expected=f"above {max(0.0, least):g}",
                found=self.bias_step,
            )  # fmt: skip

    @property
    def tried(self) -> tuple[float, ...]:
        """The logits that are tried, ascending; 0 is among them."""
        below, above = int(self.lowest_bias / self.bias_step), int(self.highest_bias / self.bias_step)
        return tuple(step * self.bias_step for step in range(min(below, 0), above + 1))


@dataclass(frozen=True)
class MirrorSettings:
    """Reference and query are seen a second time in the mirror, and both results averaged (decision 0035)."""

    enabled: bool = True


@dataclass(frozen=True)
class FieldOfViewSettings:
    """A class that the query's field of view leaves out is emptied (decision 0026).

    Args:
        not_in_view: share of a structure in view, below which it is not there.
        hardly_in_view: share in view, below which what is found must be worth keeping.
        worth_volume, worth_dice: of the reference's volume, and to expect; either is enough.
        surely_there: expected Dice that keeps even what should not be in view.
        absent_logit: at most, of a structure that is left out.
    """

    enabled: bool = True
    not_in_view: float = 0.02
    hardly_in_view: float = 0.3
    worth_volume: float = 0.2
    worth_dice: float = 0.5
    surely_there: float = 0.7
    absent_logit: float = -6.0


@dataclass(frozen=True)
class CloseUpSettings:
    """Small structures are segmented again in a box around them, at finer voxels (decision 0023).

    Args:
        most_close_ups: of one group of classes; the second where the first shows that it was off.
        largest_share: of the field of view that the box of all classes may fill, else they get none.
        small_share: of the field of view that the box of a class by itself may fill.
        most_alone: classes that get a close-up one by one.
        margin_along, margin_all: around a structure: of its length along an axis, of its mean length.
        least_cells: working voxels that the smallest class fills when it only has to be found.
        same_box: share of two boxes' union that they have in common when they count as the same.
        least_found: of the volume that references show, below which there is no close-up.
        box_tail: per cent of what was found that may lie outside the query's box on each side.
    """

    enabled: bool = True
    most_close_ups: int = 2
    largest_share: float = 0.5
    small_share: float = 0.125
    most_alone: int = 8
    margin_along: float = 0.25
    margin_all: float = 0.5
    least_cells: int = 8
    same_box: float = 0.9
    least_found: float = 0.2
    box_tail: float = 1.0

    def __post_init__(self) -> None:
        if not self.box_tail < 50:
            raise InputError(
                "unusable value", where="close_up.box_tail", expected="below 50", found=self.box_tail
            )


@dataclass(frozen=True)
class FusionSettings:
    """Two maps of one class are weighed by their expected Dice (decision 0027); off: the closer one counts.

    Args:
        odds_sharpness: power of the odds.
        surest_logit: beyond it a map is as sure as can be.
    """

    enabled: bool = True
    odds_sharpness: float = 2.0
    surest_logit: float = 12.0
