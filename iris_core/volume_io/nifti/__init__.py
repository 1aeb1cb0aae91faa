"""NIfTI: voxels, the place that a header states, the table of labels in its extension."""
