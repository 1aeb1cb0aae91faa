"""Measures the model on a labelled dataset, beside copying the reference's mask on the same pairs.

Three steps, one module each: `pairs` draws reference sets and queries, `measurement` runs them, `summary`
turns the pairs into means and intervals (`methods`: of every method). `table`, `picture` and `record` write
them as text, as PNG and as JSON. `peers` holds the methods that stand beside the model.
"""
