"""Applications on top of iris_core, one folder each."""
