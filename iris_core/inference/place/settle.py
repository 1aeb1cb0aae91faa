"""Where the query lies relative to each reference: of several places the one that explains both fields best.

Stage 3. Input: the prepared query, and a first guess for each reference. Output: one shift a reference. Cost:
a few Fourier transforms, and a coarse fit for every place that is tried; it grows with the query's volume and
not with the number of classes. docs/decisions/0120.

A neighbour in a column of vertebrae looks like the right one, and so does its surrounding. What tells is all
that both fields show: the place whose coarse fit leaves least unexplained wins, far landmarks included.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from iris_core.inference.place.align import Shift
from iris_core.inference.place.coarse_fit import Affine, affine_of, centred, fitted
from iris_core.inference.place.descriptor import cells_of
from iris_core.inference.place.shifts import all_shifts, likely_places
from iris_core.inference.stages import PlaceSearchSettings
from iris_core.model.correspondence import sample
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory


def settle_places(
    image: Tensor,
    memories: Sequence[ReferenceMemory],
    guesses: Sequence[Shift],
    settings: PlaceSearchSettings,
    mirrored: Sequence[Shift] = (),
) -> tuple[Shift, ...]:
    """One shift for each memory; the guess where the stage is off or the memory knows no field.

    Args:
        image: (1, D, H, W), the prepared query.
        memories: of the references.
        guesses: a shift for each.
        settings: of the stage.
        mirrored: what was settled in the mirror; nothing is searched again.
    """
    if not settings.enabled:
        return tuple(guesses)
    if mirrored:
        pairs = zip(mirrored, guesses, strict=True)
        return tuple(there.mirrored() if there.warp else guess for there, guess in pairs)
    told = zip(memories, guesses, strict=True)
    return tuple(settled(image, memory, guess, settings) for memory, guess in told)


def settled(image: Tensor, memory: ReferenceMemory, guess: Shift, settings: PlaceSearchSettings) -> Shift:
    """The shift that brings a query's places to those of one reference.

    A guess that the settled place confirms stays as it is, so that the network finds the rest of the way.
    """
    if memory.field is None or memory.field_cell is None:
        return guess
    cell, reference = memory.field_cell[0].cpu(), memory.field[0].cpu()
    if prod(image.shape) / float(cell.prod()) > settings.most_cells:
        return guess
    query = cells_of(image.cpu(), cell)[0]
    shifts = all_shifts(query, reference)
    smaller = min(query[0].numel(), reference[0].numel())
    places = likely_places(shifts, smaller, settings)

    def confirmed(place: Tensor) -> bool:
        return float((place * cell - guess.voxels.cpu()).abs().max()) <= settings.settled_within

    if not places or (len(places) == 1 and confirmed(places[0])):
        return guess

    def explained(one: _Try) -> float:
        overlap = int(one.fit.inside.sum()) / smaller
        if overlap < settings.least_overlap / 2:  # the fit has left the reference
            return float("-inf")
        return (1 - one.fit.unexplained / shifts.unlike) * overlap**settings.overlap_power

    def tried(place: Tensor) -> _Try:
        return _Try(query, reference, Affine(torch.eye(3), place), shifts.unlike, settings)

    fits = sorted((tried(place) for place in places), key=explained)
    best = max((one.again() for one in fits[-settings.fitted_again :]), key=explained)
    shift = best.shift(memory, cell)
    still = tried(guess.voxels.cpu() / cell).again()
    if confirmed(shift) or explained(best) <= explained(still):
        return guess
    apart = best.fit.position - best.own - shift[:, None, None, None]
    warp = {
        "warp": (apart * cell[:, None, None, None])[None],
        "warp_cell": cell[None],
        "warp_offset": (best.centre * cell)[None],
    }
    device, matched = guess.voxels.device, 1 - best.fit.unexplained / shifts.unlike >= settings.matched_share
    return Shift((shift * cell).to(device), matched, {name: one.to(device) for name, one in warp.items()})


class _Try:
    """A place that is tried, on that part of the query where it shows the reference.

    Args:
        query: field (F, d, h, w).
        reference: field (F, d', h', w').
        start: from cells of the whole query to the reference.
        usual: difference of cells taken at random.
        settings: of the stage.
    """

    def __init__(
        self, query: Tensor, reference: Tensor, start: Affine, usual: float, settings: PlaceSearchSettings
    ) -> None:
        self.query, self.reference, self.usual, self.settings = query, reference, usual, settings
        box, self.centre = _overlap(query.shape[1:], reference.shape[1:], start.shift, settings.fit_reach)
        there = Affine(start.matrix, start.matrix @ self.centre + start.shift)
        self.fit = fitted(query[(slice(None), *box)], reference, there, usual, settings.fit_reach)

    def again(self) -> _Try:
        """The same fitted once more, from the affine map nearest to the first fit."""
        near = affine_of(self.fit, self.usual)
        start = Affine(near.matrix, near.shift - near.matrix @ self.centre)
        return _Try(self.query, self.reference, start, self.usual, self.settings)

    @property
    def own(self) -> Tensor:
        """(3, d, h, w): the query's cells from its centre."""
        return centred(self.fit.inside.shape) + self.centre[:, None, None, None]

    def shift(self, memory: ReferenceMemory, cell: Tensor) -> Tensor:
        """(3,) cells, by which the structures lie elsewhere; all of the field where none is in view."""
        position = self.fit.position
        at = position * (cell / FEATURE_STRIDE)[:, None, None, None]
        landmarks = memory.landmarks.cpu()
        shown = sample(landmarks, at[None], memory.offset.cpu(), landmarks.shape[2:])[0, 0]
        weight = shown * self.fit.inside
        if not bool(weight.sum() > 1e-3):
            weight = self.fit.inside.float()
        return ((position - self.own) * weight).flatten(1).sum(1) / weight.sum().clamp_min(1e-6)


def _overlap(
    query: torch.Size, reference: torch.Size, shift: Tensor, margin: int
) -> tuple[tuple[slice, ...], Tensor]:
    """The box of a query's cells near those of the reference, and its centre from the query's, in cells."""
    box, centre = [], []
    for n, m, t in zip(query, reference, shift.tolist(), strict=True):
        middle = (n - 1) / 2 - t
        first = max(0, min(n - 1, round(middle - m / 2) - margin))
        last = min(n, max(first + 1, round(middle + m / 2) + margin + 1))
        box.append(slice(first, last))
        centre.append((first + last - 1) / 2 - (n - 1) / 2)
    return tuple(box), torch.tensor(centre)
