"""Measures the model on a labelled dataset, beside copying the reference's mask on the same pairs.

Three steps, one module each: `pairs` draws reference sets and queries, `measurement` runs them, `summary`
turns the pairs into means and intervals (`methods`: of every method). `table`, `picture` and `record` show
them as text, as PNG and as JSON. `peers` holds the methods that stand beside the model.
"""

from iris_core.evaluation.cost import Cost, measured
from iris_core.evaluation.measurement import COPY, MODEL, Answer, Bench, Measurement, Pair, Question
from iris_core.evaluation.methods import MethodFigures
from iris_core.evaluation.pairs import ReferenceSet, draw_sets, ordered_pairs, read_groups
from iris_core.evaluation.peers.folder import PeerFolder
from iris_core.evaluation.picture import draw_picture
from iris_core.evaluation.record import as_record
from iris_core.evaluation.summary import Summary, summarise
from iris_core.evaluation.table import table

__all__ = [
    "COPY",
    "MODEL",
    "Answer",
    "Bench",
    "Cost",
    "Measurement",
    "MethodFigures",
    "Pair",
    "PeerFolder",
    "Question",
    "ReferenceSet",
    "Summary",
    "as_record",
    "draw_picture",
    "draw_sets",
    "measured",
    "ordered_pairs",
    "read_groups",
    "summarise",
    "table",
]
