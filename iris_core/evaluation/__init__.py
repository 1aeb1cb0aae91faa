"""Measures the model on a labelled dataset, beside copying the reference's mask on the same pairs.

Three steps, one module each: `pairs` draws reference sets and queries, `measurement` runs them, `summary`
turns the pairs into means, intervals and a table; `record` gives all of it as JSON.
"""

from iris_core.evaluation.measurement import Bench, Measurement, Pair
from iris_core.evaluation.pairs import ReferenceSet, draw_sets, ordered_pairs, read_groups
from iris_core.evaluation.record import as_record
from iris_core.evaluation.summary import Summary, summarise, table

__all__ = [
    "Bench",
    "Measurement",
    "Pair",
    "ReferenceSet",
    "Summary",
    "as_record",
    "draw_sets",
    "ordered_pairs",
    "read_groups",
    "summarise",
    "table",
]
