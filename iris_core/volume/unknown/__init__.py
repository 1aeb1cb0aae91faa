"""Voxels that a label leaves unknown: those to ignore, in slices that nobody drew on, or beside scribbles.

They are neither a class nor background (docs/decisions/0065). One mechanism serves all:

label -> ignored_aside, without_gaps -> LabelVolume.ignored, LabelVolume.unlabelled -> completed (a guess)
"""

from iris_core.volume.unknown.completion import completed
from iris_core.volume.unknown.gaps import Gaps, find_gaps
from iris_core.volume.unknown.ignored import ignored_aside
from iris_core.volume.unknown.sparse import SPARSE, gap_lines, without_gaps

__all__ = ["SPARSE", "Gaps", "completed", "find_gaps", "gap_lines", "ignored_aside", "without_gaps"]
