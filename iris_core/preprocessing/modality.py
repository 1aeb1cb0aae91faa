"""CT or not: from the numbers, and from what the references are (docs/decisions/0066)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from iris_core.config import CT_CLIP
from iris_core.volume.volume import Volume

SAMPLES = 200_000  # voxels of the sample, evenly strided
AIR_HU = -200.0  # CT holds values below this: air, lung or the padding of the scanner's circle
OUTSIDE_HU = (-1100.0, -900.0)  # the air around a body
FLOOR_HU = -1100.0  # nothing lies below this but one padding value
TISSUE_HU = (-200.0, 300.0)  # soft tissue and fat
TOP_HU = 3100.0  # hardly anything lies above this: scanners store 12 bits, up to 3071
WATER_HU = 50.0  # an image whose values all lie above this shows neither water nor fat nor air
BELOW_WATER = -30.0  # CT that shows anything else than bone has values below this ...
LEAST_BELOW_WATER = 0.01  # ... in so many voxels (ours)
NEAR_ZERO, LEAST_NEAR_ZERO = (-30.0, 20.0), 0.2  # the background of an MR, and its least share (ours)
MOST_CLIPPED = 0.9  # of the voxels above what CT is clipped to (ours)
LEAST_TISSUE = 0.02  # of the voxels
LEAST_TISSUE_INSIDE = 0.1  # of the voxels that are not air or padding, where these are many (ours)
LEAST_OUTSIDE = 0.02  # of the voxels, air and padding that are many (ours)
SURELY_AIR = 0.3  # of the voxels in air's range, which is CT whatever else there is (ours)
PROVEN_AIR = 0.01  # of the voxels in air's range, which no MR has (ours)
MOST_ODD = 0.01  # of the voxels in a range where CT has nothing, the padding value aside
NARROWEST_RANGE_HU = 500.0
LEAST_SPAN_HU = 50.0  # of any CT's values: fat and muscle alone span more (ours)
MOST_PADDINGS = 3  # values below all that CT has, each of them many (ours)
FAT = (895.0, 955.0)  # with 1024 added
BETWEEN_FAT_AND_WATER = (970.0, 1000.0)
OFFSET = 1024.0  # that some writers add, so that no value is negative
OFFSET_TISSUE = (900.0, 1200.0)  # where most of a body lies then, fat and soft tissue
MOST_OF_BODY = 0.5  # of the voxels above lung that lie there (ours)
BETWEEN = (300.0, 850.0)  # and between air and fat, where CT has little and an MR has tissue
MOST_BETWEEN = 0.3  # of the voxels above air that lie there (ours)
LOW = (1.0, 80.0)  # where air lies with 1024 added; 0 itself is padding, of an MR too
AIR_WITH_OFFSET = (16.0, 32.0)  # the median of what lies there: a scanner's air is -1000 within a few units
LEAST_LOW = 0.005  # of the voxels that lie there (ours)
NARROW = 0.5  # of the third quartile there that the first reaches; noise about 0 stays under 0.46 (ours)
OFFSET_REMEDY = f"if it is CT with {OFFSET:g} added, subtract that in the file"


class Modality(NamedTuple):
    """A detected modality and why."""

    name: str  # "ct" or "mr"
    reason: str  # one clause, without a full stop


class _Values(NamedTuple):
    """An image's values."""

    sample: np.ndarray  # some of them
    low: float  # the lowest of all
    high: float  # the highest of all

    @property
    def span(self) -> str:
        return f"values from {self.low:g} to {self.high:g}"

    def share(self, low: float, high: float) -> float:
        """The share of the voxels that lie between two values."""
        return float(np.mean((self.sample >= low) & (self.sample <= high)))

    @property
    def scattered_low(self) -> bool:
        """Whether many values lie below all that CT has, and not at a few padding values."""
        below = self.sample < FLOOR_HU
        return bool(np.mean(below & ~np.isin(self.sample, self.paddings)) > MOST_ODD)

    @property
    def paddings(self) -> list[float]:
        """The lowest value and at most two others below all that CT has, each in many voxels."""
        if self.low >= FLOOR_HU:
            return []
        own, counts = np.unique(self.sample[self.sample < FLOOR_HU], return_counts=True)
        most = np.argsort(counts)[::-1][:MOST_PADDINGS]
        many = [float(own[i]) for i in most if counts[i] > MOST_ODD * self.sample.size]
        return [self.low, *[value for value in many if value != self.low][: MOST_PADDINGS - 1]]

    @property
    def mostly_outside(self) -> bool:
        """Whether the image is Hounsfield's air or padding with a body in it, however small."""
        air = self.share(*OUTSIDE_HU)
        padding = float(np.mean(np.isin(self.sample, self.paddings)))
        inside = self.share(OUTSIDE_HU[1], np.inf)
        body = self.share(*TISSUE_HU) >= LEAST_TISSUE_INSIDE * inside
        return air >= SURELY_AIR or (air + padding >= LEAST_OUTSIDE and body)


def detect_modality(volume: Volume) -> Modality:
    """The modality of an image by its own values, "ct" where they look like Hounsfield units, else "mr".

    Hounsfield units reach below -200 (air), span at least 500, lie partly in soft tissue's range or mostly in
    air's, and do not scatter below -1100. PET looks like MR here and is treated the same.
    """
    values = _values(volume)
    if values.low > AIR_HU:
        return Modality("mr", f"{values.span}: none below {AIR_HU:g}, where CT has air")
    if values.high - values.low < NARROWEST_RANGE_HU:
        return Modality("mr", f"{values.span}: too narrow for CT")
    if values.scattered_low:
        return Modality("mr", f"{values.span}: many below {FLOOR_HU:g}, where CT has nothing")
    tissue = values.share(*TISSUE_HU)
    if tissue < LEAST_TISSUE and not values.mostly_outside:
        return Modality("mr", f"{values.span}: no soft tissue between {TISSUE_HU[0]:g} and {TISSUE_HU[1]:g}")
    return Modality("ct", f"{values.span}, {tissue:.0%} of them in soft tissue's range: Hounsfield units")


def query_modality(query: Volume, references: str, *, given: bool) -> tuple[str, list[str]]:
    """The modality by which a query is prepared, and what a person should know of the choice.

    It is that of the references, unless the query's values prove that it is another one. A modality that a
    person has given holds for the query too.
    """
    guess = detect_modality(query)
    if "ct" not in (guess.name, references) or guess.name == references:
        return references, []
    doubt = f"looks like {guess.name} ({guess.reason}), the references are {references}"
    if references == "ct" and has_offset(query):
        return "ct", [f"values from {query.array.min():g} on look like CT with {OFFSET:g} added: subtracted"]
    if references == "ct" and may_have_offset(query):
        doubt += f"; {OFFSET_REMEDY}"
    if given:
        return references, [doubt]
    proof = _no_ct(query) if references == "ct" else _surely_ct(query)
    if proof:
        return guess.name, [f"{doubt}; {proof}, so it is prepared as {guess.name}"]
    remedy = f"--modality {guess.name} if it is not"
    return references, [f"{doubt}; nothing contradicts that, so it is prepared as {references} ({remedy})"]


def has_offset(volume: Volume) -> bool:
    """Whether an image can be nothing but CT to which 1024 was added.

    It looks so (`may_have_offset`), and air is a peak at 24. Without that a map of T1, whose tissues lie near
    1024 as well, looks the same.
    """
    if not may_have_offset(volume):
        return False
    values = _values(volume)
    low = values.sample[(values.sample >= LOW[0]) & (values.sample <= LOW[1])]
    if low.size < LEAST_LOW * values.sample.size:
        return False
    first, middle, third = np.percentile(low, (25, 50, 75))
    return bool(first >= NARROW * third and AIR_WITH_OFFSET[0] <= middle <= AIR_WITH_OFFSET[1])


def may_have_offset(volume: Volume) -> bool:
    """Whether an image may be CT to which 1024 was added.

    Nothing lies below 0, most of the body near 1024, and it shows bone, or fat apart from other tissue.
    """
    values = _values(volume)
    if not 0 <= values.low < WATER_HU:
        return False
    if values.high < OFFSET + TISSUE_HU[1] and not _fat_stands_apart(values):
        return False
    body = values.share(OFFSET / 2, np.inf)
    if not body or values.share(*OFFSET_TISSUE) < MOST_OF_BODY * body:
        return False
    return values.share(*BETWEEN) <= MOST_BETWEEN * values.share(BETWEEN[0], np.inf)


def _fat_stands_apart(values: _Values) -> bool:
    """Whether fat of CT with 1024 added is many voxels, and more than what lies between fat and water."""
    fat, between = values.share(*FAT), values.share(*BETWEEN_FAT_AND_WATER)
    width = (FAT[1] - FAT[0]) / (BETWEEN_FAT_AND_WATER[1] - BETWEEN_FAT_AND_WATER[0])
    return fat >= LEAST_TISSUE and fat > width * between


def in_hounsfield(volume: Volume, modality: str) -> Volume:
    """A volume of a modality without the 1024 that some writers add to CT; any other as it is."""
    if modality != "ct" or not has_offset(volume):
        return volume
    return replace(volume, array=volume.array - np.float32(OFFSET))


def _no_ct(volume: Volume) -> str:
    """Why an image cannot be treated as CT; "" where nothing contradicts it."""
    values = _values(volume)
    if values.high - values.low < LEAST_SPAN_HU:
        return "its values span too little for Hounsfield units"
    if values.scattered_low:
        return f"CT has nothing below {FLOOR_HU:g}"
    if values.share(TOP_HU, np.inf) > MOST_ODD:
        return f"CT has hardly anything above {TOP_HU:g}"
    few = values.share(-np.inf, BELOW_WATER) < LEAST_BELOW_WATER and values.high > CT_CLIP[1]
    few = few and values.share(*NEAR_ZERO) >= LEAST_NEAR_ZERO
    if 0 <= values.low < WATER_HU or (values.low < 0 and few):
        return "CT has values below 0 where it shows water, fat or air"
    if values.share(CT_CLIP[1], np.inf) > MOST_CLIPPED:
        return f"hardly anything of it would be left below {CT_CLIP[1]:g}"
    return ""


def _surely_ct(volume: Volume) -> str:
    """What only CT holds, in an image that looks like CT; "" where there is nothing of the kind."""
    air = _values(volume).share(*OUTSIDE_HU)
    return f"{air:.0%} of it is air at -1000" if air >= PROVEN_AIR else ""


def _values(volume: Volume) -> _Values:
    flat = volume.array.ravel()
    sample = flat[:: max(1, flat.size // SAMPLES)]
    return _Values(sample, float(flat.min()), float(flat.max()))
